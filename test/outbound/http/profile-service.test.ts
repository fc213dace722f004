import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import { NO_LOG } from "../../../src/log/log.ts";
import { fieldsOf, responseHead, send, type SeenRequest } from "../../support/recording-app.ts";
import {
  build,
  CANARY,
  EMPTY,
  retryable,
  route,
  split,
  status,
  statuses,
  target,
  WEB,
} from "./profile-setup.ts";
import { call } from "./scripted-backends.ts";

const TIMEOUT_MS = 1_000;

describe("outbound 5.2: a profile's requests", () => {
  test("carry its name, whatever the application wrote there", () => {
    const { service, backends } = build({ routes: [route("/a")] });
    call(service, "/a", { headers: ["l5d-dst-canonical: forged", "x: 1"] });
    call(service, "/other");
    const [first, second] = backends.get(WEB).seen;
    assert.deepEqual(first?.fields, ["x: 1", "l5d-dst-canonical: web.shop.svc.cluster.local:80"]);
    assert.deepEqual(second?.fields, ["l5d-dst-canonical: web.shop.svc.cluster.local:80"]);
  });

  test("outbound 16.16: are forwarded with the timeout and retry headers of policies, which mean nothing here", () => {
    const { service, backends, clock } = build({ routes: [route("/a")] }, () => {});
    const headers = ["l5d-timeout: 1ms", "l5d-response-timeout: 1ms", "l5d-retry-http: 5xx"];
    const seen = call(service, "/a", { headers });
    clock.advance(60_000);
    assert.equal(status(seen), "pending");
    assert.deepEqual(backends.get(WEB).seen[0]?.fields.slice(0, 3), headers);
  });

  test("go to its own name where it has no targets", () => {
    const { service, backends } = build({ routes: [route("/a")] });
    assert.equal(status(call(service, "/a")), 200);
    assert.deepEqual(backends.counts, { [WEB]: 1 });
  });

  test("outbound 16.9: are split by the weights of its targets", () => {
    const { service, backends } = build(split(90, 10));
    for (let i = 0; i < 10_000; i++) call(service, "/");
    const canary = backends.get(CANARY).seen.length;
    assert.ok(canary > 900 && canary < 1_100, `${canary} of 10000`);
    assert.equal(backends.get(WEB).seen.length + canary, 10_000);
  });

  test("outbound 16.9: go to the other targets while one is in failfast, and fail at once when all are", () => {
    const { service, backends } = build(split(90, 10));
    backends.get(WEB).available = false;
    for (let i = 0; i < 100; i++) assert.equal(status(call(service, "/")), 200);
    assert.deepEqual(backends.counts, { [WEB]: 0, [CANARY]: 100 });
    backends.get(CANARY).available = false;
    const seen = call(service, "/");
    assert.equal(seen.error?.code, "loadshed");
    assert.equal(seen.error.message, "logical service web.shop.svc.cluster.local:80: service unavailable");
  });

  test("name the profile in what goes wrong below", () => {
    const { service, backends } = build({ routes: [route("/a")] }, () => {});
    const seen = call(service, "/a");
    const { response } = backends.get(WEB).seen[0] ?? {};
    assert.ok(response);
    response.reset(new ProxyError("failfast", "backend Service.shop.web:80: service in fail-fast"));
    assert.equal(
      seen.error?.message,
      "logical service web.shop.svc.cluster.local:80: backend Service.shop.web:80: service in fail-fast",
    );
  });

  test("are refused when too many wait for a response, and let others in once theirs has begun", () => {
    const { service, backends } = build({ routes: [route("/a")] }, () => {}, { inFlight: 1 });
    call(service, "/a");
    assert.equal(status(call(service, "/a")), "loadshed");
    backends.get(WEB).seen[0]?.response.head(responseHead(200), false);
    const third = call(service, "/a");
    assert.equal(status(third), "pending");
    assert.equal(status(call(service, "/a")), "loadshed");
    third.sink.reset(new ProxyError("canceled", "gave up"));
    assert.equal(status(call(service, "/a")), "pending");
  });
});

describe("outbound 5.2: an update of a profile", () => {
  test("takes effect at once, keeping the targets that it names unchanged", () => {
    const { service, backends, watch } = build(split(1, 1));
    const web = backends.get(WEB);
    watch.publish({ ...EMPTY, targets: [target("web.shop.svc.cluster.local:80", 1)] });
    assert.equal(backends.get(CANARY).closed, true);
    for (let i = 0; i < 20; i++) call(service, "/");
    assert.equal(backends.get(WEB), web);
    assert.equal(web.closed, false);
    assert.deepEqual(backends.counts, { [WEB]: 20, [CANARY]: 0 });
  });

  test("that names nothing any more sends everything to the profile's name", () => {
    const { service, backends, watch } = build({ targets: [target("canary.shop.svc.cluster.local:80", 1)] });
    watch.publish(EMPTY);
    assert.equal(status(call(service, "/")), 200);
    assert.deepEqual(backends.counts, { [WEB]: 1, [CANARY]: 0 });
  });

  test("does not disturb the requests under way", () => {
    const { service, backends, watch } = build(retryable(), () => {});
    const seen = call(service, "/r");
    watch.publish({ ...EMPTY, routes: [route("/new")] });
    backends.get(WEB).seen[0]?.response.head(responseHead(500), true);
    backends.get(WEB).seen[1]?.response.head(responseHead(204), true);
    assert.equal(status(seen), 204);
  });

  test("gives the retry budget anew", () => {
    const { service, backends, watch, clock } = build(retryable(), statuses(500));
    call(service, "/r");
    for (let i = 0; i < 20; i++) clock.advance(0);
    assert.equal(backends.get(WEB).seen.length, 11);
    watch.publish({ ...EMPTY, ...retryable() });
    call(service, "/r");
    for (let i = 0; i < 20; i++) clock.advance(0);
    assert.equal(backends.get(WEB).seen.length, 22);
  });

  test("ends with the service", () => {
    const { service, backends, watch } = build(split(1, 1));
    service.close();
    watch.publish({ ...EMPTY, targets: [target("new.shop.svc.cluster.local:80", 1)] });
    assert.deepEqual([backends.get(WEB).closed, backends.get(CANARY).closed], [true, true]);
    assert.equal(backends.made.size, 2);
  });
});

describe("outbound 5.2: the timeout of a profile route", () => {
  const timed = { routes: [route("/t", { timeoutMs: TIMEOUT_MS })] };

  test("outbound 16.14: fails a request whose response has not begun, and cancels it", () => {
    const { service, backends, clock } = build(timed, () => {});
    const seen = call(service, "/t");
    clock.advance(TIMEOUT_MS - 1);
    assert.equal(status(seen), "pending");
    clock.advance(1);
    assert.equal(seen.error?.code, "profile_timeout");
    assert.equal(
      seen.error.message,
      "logical service web.shop.svc.cluster.local:80: HTTP response timeout after 1s",
    );
    assert.equal(backends.get(WEB).seen[0]?.reset?.code, "canceled");
  });

  test("leaves alone a response that has begun, and requests of other routes", () => {
    const { service, backends, clock } = build(timed, () => {});
    const [begun, other] = [call(service, "/t"), call(service, "/other")];
    backends.get(WEB).seen[0]?.response.head(responseHead(200), false);
    assert.equal(clock.timers, 0);
    clock.advance(10 * TIMEOUT_MS);
    send(backends.get(WEB).seen[0]?.response ?? begun.sink, "late", true);
    assert.deepEqual([begun.body, begun.ended, status(other)], ["late", true, "pending"]);
  });

  test("is over when the request is, whichever side ends it", () => {
    const { service, backends, clock } = build(timed, () => {});
    call(service, "/t");
    backends.get(WEB).seen[0]?.response.reset(new ProxyError("io", "gone"));
    const left = call(service, "/t");
    left.sink.reset(new ProxyError("canceled", "gave up"));
    assert.equal(clock.timers, 0);
    assert.equal(backends.get(WEB).seen[1]?.reset?.message, "gave up");
  });

  test("spans all attempts", () => {
    const slow = ({ response }: SeenRequest): void =>
      void timer(() => response.head(responseHead(500), true));
    const made = build(retryable({ timeoutMs: TIMEOUT_MS }), slow);
    const timer = (f: () => void) => made.clock.after(400, f);
    const seen = call(made.service, "/r");
    made.clock.advance(TIMEOUT_MS);
    assert.equal(status(seen), "profile_timeout");
    assert.equal(made.backends.get(WEB).seen.length, 3);
    made.clock.advance(10 * TIMEOUT_MS);
    assert.equal(made.backends.get(WEB).seen.length, 3);
  });
});

describe("outbound 5.2: metrics of profile routes", () => {
  test("count requests and attempts under the labels of their route, and the rest without any", async () => {
    const { service, lines } = build({ routes: [route("/a")] });
    for (const path of ["/a", "/a", "/b"]) call(service, path);
    const requests = [`rt_route="/a"} 2`, `} 1`];
    const responses = [
      `rt_route="/a",status_code="200",classification="success",grpc_status="",error=""} 2`,
      `status_code="200",classification="success",grpc_status="",error=""} 1`,
    ];
    assert.deepEqual(await lines("route_request_total"), requests);
    assert.deepEqual(await lines("route_actual_request_total"), requests);
    assert.deepEqual(await lines("route_response_total"), responses);
    assert.deepEqual(await lines("route_actual_response_total"), responses);
    assert.deepEqual(await lines("route_response_latency_ms_count"), [
      `rt_route="/a",status_code="200"} 2`,
      `status_code="200"} 1`,
    ]);
  });

  test("tell what a request came to from what its attempts did", async () => {
    const { service, lines, clock } = build(retryable(), statuses(500, 500, 200));
    call(service, "/r");
    for (let i = 0; i < 5; i++) clock.advance(0);
    assert.deepEqual(await lines("route_request_total"), [`rt_route="/r"} 1`]);
    assert.deepEqual(await lines("route_response_total"), [
      `rt_route="/r",status_code="200",classification="success",grpc_status="",error=""} 1`,
    ]);
    assert.deepEqual(await lines("route_actual_request_total"), [`rt_route="/r"} 3`]);
    assert.deepEqual(await lines("route_actual_response_total"), [
      `rt_route="/r",status_code="500",classification="failure",grpc_status="",error=""} 2`,
      `rt_route="/r",status_code="200",classification="success",grpc_status="",error=""} 1`,
    ]);
    assert.deepEqual(await lines("route_retryable_total"), [
      `rt_route="/r"} 2`,
      `rt_route="/r",skipped="no_budget"} 0`,
    ]);
  });

  test("show a timeout as one, and the attempt that it ended as none", async () => {
    const { service, lines, clock } = build({ routes: [route("/t", { timeoutMs: TIMEOUT_MS })] }, () => {});
    call(service, "/t");
    clock.advance(TIMEOUT_MS);
    const error = `rt_route="/t",classification="failure",grpc_status="",error="timeout"} 1`;
    assert.deepEqual(await lines("route_response_total"), [error]);
    assert.deepEqual(await lines("route_actual_request_total"), [`rt_route="/t"} 1`]);
    assert.deepEqual(await lines("route_actual_response_total"), []);
    assert.deepEqual(await lines("route_response_latency_ms_count"), []);
  });

  test("judge statuses by the classes of the route", async () => {
    const responseClasses = [
      { condition: { kind: "status", low: 404, high: 404 }, isFailure: true },
      { condition: { kind: "status", low: 500, high: 599 }, isFailure: false },
    ] as const;
    const { service, lines } = build({ routes: [route("/a", { responseClasses })] }, statuses(404, 503, 418));
    for (let i = 0; i < 3; i++) call(service, "/a");
    assert.deepEqual(await lines("route_response_total"), [
      `rt_route="/a",status_code="404",classification="failure",grpc_status="",error=""} 1`,
      `rt_route="/a",status_code="503",classification="success",grpc_status="",error=""} 1`,
      `rt_route="/a",status_code="418",classification="success",grpc_status="",error=""} 1`,
    ]);
  });

  test("take the gRPC status from the trailers", async () => {
    const answer = ({ response }: SeenRequest): void => {
      response.head(responseHead(200), false);
      response.trailers(fieldsOf(["grpc-status: 13"]));
    };
    const { service, lines } = build({ routes: [route("/s/m")] }, answer);
    call(service, "/s/m", { version: 20, headers: ["content-type: application/grpc"] });
    assert.deepEqual(await lines("route_response_total"), [
      `rt_route="/s/m",status_code="200",classification="failure",grpc_status="13",error=""} 1`,
    ]);
  });

  test("count a response that the application left as far as it came, and none where none had come", async () => {
    const { service, lines, backends } = build({ routes: [route("/a")] }, () => {});
    const [early, late] = [call(service, "/a"), call(service, "/a")];
    early.sink.reset(new ProxyError("canceled", "gave up"));
    backends.get(WEB).seen[1]?.response.head(responseHead(200), false);
    late.sink.reset(new ProxyError("canceled", "gave up"));
    assert.deepEqual(await lines("route_response_total"), [
      `rt_route="/a",status_code="200",classification="success",grpc_status="",error=""} 1`,
    ]);
  });

  test("tell errors apart, with the status where the response had begun", async () => {
    const errors = [new ProxyError("h2_reset", "reset", { h2Code: 8 }), new ProxyError("io", "gone")];
    const { service, lines } = build({ routes: [route("/a")] }, ({ response }) => {
      const error = errors.pop();
      if (error?.code === "h2_reset") response.head(responseHead(200), false);
      response.reset(error ?? new ProxyError("io", "more than scripted"));
    });
    for (let i = 0; i < 2; i++) call(service, "/a");
    assert.deepEqual(await lines("route_response_total"), [
      `rt_route="/a",classification="failure",grpc_status="",error="unclassified"} 1`,
      `rt_route="/a",status_code="200",classification="failure",grpc_status="",error="h2(CANCEL)"} 1`,
    ]);
  });
});

test("a profile with retryable routes and no budget is warned about, and retries nothing", () => {
  const warnings: string[] = [];
  const log = { ...NO_LOG, warn: (message: string) => void warnings.push(message) };
  const { service, backends } = build({ routes: [route("/r", { isRetryable: true })] }, statuses(500), {
    log,
  });
  assert.equal(status(call(service, "/r")), 500);
  assert.equal(backends.get(WEB).seen.length, 1);
  assert.deepEqual(warnings, ["A profile has retryable routes but no retry budget: nothing is retried"]);
});
