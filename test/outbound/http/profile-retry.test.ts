import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import { ResponseHead, statusField, type HttpVersion, type ResponseSink } from "../../../src/http/message.ts";
import { PROCESS_REPLAY_MEMORY } from "../../../src/http/replay-buffer.ts";
import { PROFILE_REPLAY_BYTES } from "../../../src/outbound/http/profile-retry.ts";
import { fieldsOf, responseHead, send, type SeenRequest } from "../../support/recording-app.ts";
import { BUDGET, build, retryable, route, status, statuses, WEB } from "./profile-setup.ts";
import { call, type RequestOptions } from "./scripted-backends.ts";

/** The response sink of the n-th attempt. */
function answerTo(made: ReturnType<typeof build>, attempt: number): ResponseSink {
  const seen = made.backends.get(WEB).seen[attempt];
  assert.ok(seen, `there is no attempt ${attempt}`);
  return seen.response;
}
/** From now on the backend answers requests while it is still being called with their heads, with these statuses in turn. */
function answerAtHead({ backends }: ReturnType<typeof build>, ...codes: number[]): void {
  const backend = backends.get(WEB);
  const take = backend.call.bind(backend);
  backend.call = (head, last, response) => {
    const sink = take(head, last, response);
    const code = codes.shift();
    if (code !== undefined) response.head(responseHead(code), true);
    return sink;
  };
}
const attempts = ({ backends }: ReturnType<typeof build>): number => backends.get(WEB).seen.length;
const silent = (): void => {};
const POST: RequestOptions = { method: "POST", last: false };
const GRPC: RequestOptions = { version: 20, headers: ["content-type: application/grpc"] };

function headOf(version: HttpVersion, code: number, ...lines: string[]): ResponseHead {
  return new ResponseHead(version, code, statusField(code), fieldsOf(lines));
}

describe("outbound 5.2: a retryable route", () => {
  test("retries failures until one attempt succeeds, whatever the method", () => {
    for (const method of ["GET", "POST", "DELETE"]) {
      const made = build(retryable(), silent);
      const seen = call(made.service, "/r", { method });
      answerTo(made, 0).head(responseHead(500), true);
      answerTo(made, 1).head(responseHead(503), true);
      assert.equal(status(seen), "pending");
      answerTo(made, 2).head(responseHead(201), true);
      assert.equal(status(seen), 201);
      assert.equal(attempts(made), 3);
    }
  });

  test("retries what its response classes call a failure, and nothing else", () => {
    const responseClasses = [
      { condition: { kind: "status", low: 404, high: 404 }, isFailure: true },
      { condition: { kind: "status", low: 500, high: 599 }, isFailure: false },
    ] as const;
    const made = build(retryable({ responseClasses }), silent);
    const [found, failed] = [call(made.service, "/r"), call(made.service, "/r")];
    answerTo(made, 1).head(responseHead(500), true);
    answerTo(made, 0).head(responseHead(404), true);
    answerTo(made, 2).head(responseHead(200), true);
    assert.deepEqual([status(found), status(failed), attempts(made)], [200, 500, 3]);
  });

  test("tells taps its labels at every attempt, and other requests none", () => {
    const made = build(retryable(), silent);
    call(made.service, "/r");
    answerTo(made, 0).head(responseHead(500), true);
    call(made.service, "/other");
    const labels = made.backends.get(WEB).seen.map(({ head }) => head.routeLabels);
    assert.deepEqual(labels, [[["route", "/r"]], [["route", "/r"]], undefined]);
  });

  test("does not retry an attempt that ended without a response", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r");
    answerTo(made, 0).reset(new ProxyError("failfast", "service in fail-fast"));
    assert.equal(seen.error?.code, "failfast");
    assert.equal(attempts(made), 1);
  });

  test("does not retry requests of other routes, nor those that open a tunnel", () => {
    const made = build(retryable(), statuses(500));
    assert.equal(status(call(made.service, "/other")), 500);
    assert.equal(status(call(made.service, "/r", { upgrade: true })), 500);
    assert.equal(attempts(made), 2);
  });

  test("cancels the response that it drops, and lets nothing of it through", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r");
    const dropped = answerTo(made, 0);
    dropped.head(responseHead(500, "content-length: 5"), false);
    assert.equal(made.backends.get(WEB).seen[0]?.reset?.code, "canceled");
    send(dropped, "error", true);
    answerTo(made, 1).head(responseHead(200), false);
    send(answerTo(made, 1), "good", true);
    assert.deepEqual([status(seen), seen.body, seen.fields], [200, "good", []]);
  });

  test("sends every attempt as the application sent it, except that retries are in origin-form", () => {
    const made = build(retryable(), ({ head, response }) => {
      // Layers below change heads in place.
      head.fields.push(...fieldsOf(["x-changed: 1"]));
      response.head(responseHead(made.backends.get(WEB).seen.length < 2 ? 500 : 200), true);
    });
    call(made.service, "/r", { headers: ["x: 1"], absoluteForm: true });
    made.clock.advance(0);
    const [first, second] = made.backends.get(WEB).seen;
    assert.deepEqual(first?.fields, second?.fields);
    assert.deepEqual([first?.head.absoluteForm, second?.head.absoluteForm], [true, false]);
    assert.equal(second?.head.path?.value, "/r");
  });

  test("ends with the application, also between two attempts", () => {
    const made = build(retryable(), statuses(500));
    const seen = call(made.service, "/r");
    seen.sink.reset(new ProxyError("canceled", "gave up"));
    made.clock.advance(1_000);
    assert.equal(attempts(made), 1);
    assert.equal(made.clock.timers, 0);
    assert.equal(seen.error, undefined);
  });
});

describe("outbound 5.2: the budget of retries", () => {
  test("lets the failure through when it is used up, and says so in the metrics", async () => {
    const made = build(retryable(), statuses(500));
    const seen = call(made.service, "/r");
    for (let i = 0; i < 20; i++) made.clock.advance(0);
    // One a second for ten seconds.
    assert.equal(attempts(made), 11);
    assert.equal(status(seen), 500);
    assert.deepEqual(await made.lines("route_retryable_total"), [
      `rt_route="/r"} 11`,
      `rt_route="/r",skipped="no_budget"} 1`,
    ]);
    assert.equal(status(call(made.service, "/r")), 500);
  });

  test("is filled by requests that need no retry, of all routes together", () => {
    const profile = retryable();
    const routes = [...(profile.routes ?? []), route("/ok", { isRetryable: true })];
    const made = build(
      { ...profile, routes, retryBudget: { ...BUDGET, minRetriesPerSecond: 0 } },
      ({ head, response }) => response.head(responseHead(head.path?.value === "/ok" ? 200 : 500), true),
    );
    for (let i = 0; i < 10; i++) call(made.service, "/ok");
    call(made.service, "/r");
    for (let i = 0; i < 5; i++) made.clock.advance(0);
    // A fifth of ten.
    assert.equal(attempts(made), 10 + 1 + 2);
  });

  test("of a service that answers at once is not spent in one turn of the event loop", () => {
    const made = build(retryable(), statuses(500, 500, 200));
    const seen = call(made.service, "/r");
    assert.equal(attempts(made), 1);
    made.clock.advance(0);
    assert.deepEqual([attempts(made), status(seen)], [3, 200]);
  });

  test("nor is that of one that answers as soon as it has the body", () => {
    const made = build(retryable(), statuses(500));
    const seen = call(made.service, "/r", POST);
    send(seen.sink, "hello", true);
    assert.equal(attempts(made), 2);
    made.clock.advance(0);
    assert.deepEqual([attempts(made), status(seen)], [11, 500]);
  });
});

describe("outbound 8.3: the body of a request", () => {
  const body = "x".repeat(PROFILE_REPLAY_BYTES);
  const failOnce = () => {
    let i = 0;
    return ({ response }: SeenRequest): void => response.head(responseHead(i++ === 0 ? 500 : 200), true);
  };

  test("is sent again with its trailers", () => {
    const made = build(retryable(), failOnce());
    const seen = call(made.service, "/r", { ...POST, version: 20 });
    send(seen.sink, "hello ", false);
    send(seen.sink, "world", false);
    seen.sink.trailers(fieldsOf(["checksum: 1"]));
    made.clock.advance(0);
    assert.equal(status(seen), 200);
    for (const attempt of made.backends.get(WEB).seen) {
      assert.deepEqual(
        [attempt.body, attempt.trailers, attempt.complete],
        ["hello world", ["checksum: 1"], true],
      );
    }
  });

  test("is owed to an attempt that is answered before it was sent", () => {
    for (const codes of [[200], [503, 200]]) {
      const made = build(retryable(), silent);
      const seen = call(made.service, "/r", { ...POST, version: 20 });
      send(seen.sink, "hello", false);
      seen.sink.trailers(fieldsOf(["checksum: 1"]));
      answerAtHead(made, ...codes);
      answerTo(made, 0).head(responseHead(500), true);
      made.clock.advance(0);
      assert.equal(status(seen), 200);
      assert.equal(attempts(made), 1 + codes.length);
      const last = made.backends.get(WEB).seen.at(-1);
      assert.deepEqual([last?.body, last?.trailers], ["hello", ["checksum: 1"]]);
      assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
    }
  });

  test("is sent no further to an attempt that is dropped on the way", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r", { ...POST, version: 20 });
    send(seen.sink, "hello", false);
    seen.sink.trailers(fieldsOf(["checksum: 1"]));
    answerAtHead(made, 503);
    answerTo(made, 0).head(responseHead(500), true);
    const dropped = made.backends.get(WEB).seen[1];
    assert.deepEqual([dropped?.body, dropped?.trailers], ["", []]);
    made.clock.advance(0);
    assert.equal(made.backends.get(WEB).seen[2]?.body, "hello");
    answerTo(made, 2).head(responseHead(200), true);
    assert.equal(status(seen), 200);
  });

  test("that is still to come when the response does is not waited for", () => {
    const made = build(retryable(), silent);
    answerAtHead(made, 500);
    const seen = call(made.service, "/r", POST);
    assert.equal(status(seen), 500);
    send(seen.sink, "hello", true);
    assert.equal(made.backends.get(WEB).seen[0]?.body, "hello");
    assert.equal(attempts(made), 1);
    assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  });

  test("is given credit for once, however often it is sent", () => {
    const made = build(retryable(), failOnce());
    const seen = call(made.service, "/r", POST);
    send(seen.sink, "hello", true);
    made.clock.advance(0);
    assert.equal(status(seen), 200);
    assert.equal(seen.credited, 5);
  });

  test("outbound 16.12: of 64 KiB is retried, and of one byte more is not", () => {
    for (const [size, expected] of [
      [PROFILE_REPLAY_BYTES, 200],
      [PROFILE_REPLAY_BYTES + 1, 500],
    ] as const) {
      for (const headers of [[], [`content-length: ${size}`]]) {
        const made = build(retryable(), failOnce());
        const seen = call(made.service, "/r", { ...POST, headers });
        send(seen.sink, body, size === body.length);
        if (size > body.length) send(seen.sink, "y", true);
        made.clock.advance(0);
        assert.equal(status(seen), expected, `${size} bytes, ${headers.join()}`);
        assert.equal(made.backends.get(WEB).seen[0]?.body.length, size);
      }
    }
    assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  });

  test("that is still coming when the response does is not retried", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r", POST);
    send(seen.sink, "hel", false);
    answerTo(made, 0).head(responseHead(500), true);
    assert.equal(status(seen), 500);
    send(seen.sink, "lo", true);
    assert.equal(made.backends.get(WEB).seen[0]?.body, "hello");
    assert.equal(attempts(made), 1);
    assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  });

  test("is let go of when the request ends, whichever side ends it", () => {
    const made = build(retryable(), silent);
    const left = call(made.service, "/r", POST);
    send(left.sink, "hello", false);
    assert.ok(PROCESS_REPLAY_MEMORY.usedBytes > 0);
    left.sink.reset(new ProxyError("canceled", "gave up"));
    assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
    const broken = call(made.service, "/r", POST);
    send(broken.sink, "hello", true);
    answerTo(made, 1).reset(new ProxyError("io", "gone"));
    assert.equal(broken.error?.code, "io");
    assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  });
});

describe("outbound 8.4: a response whose trailers may have a say", () => {
  test("outbound 16.13: is retried for a gRPC failure in its head", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r", GRPC);
    answerTo(made, 0).head(headOf(20, 200, "grpc-status: 14"), true);
    answerTo(made, 1).head(headOf(20, 200, "grpc-status: 0"), true);
    assert.deepEqual(seen.fields, ["grpc-status: 0"]);
  });

  test("outbound 16.13: is retried for a gRPC failure right behind its only message", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r", GRPC);
    answerTo(made, 0).head(headOf(20, 200), false);
    send(answerTo(made, 0), "message", false);
    assert.equal(status(seen), "pending");
    answerTo(made, 0).trailers(fieldsOf(["grpc-status: 14"]));
    assert.equal(made.backends.get(WEB).seen[0]?.credited, "message".length);
    answerTo(made, 1).head(headOf(20, 200), false);
    answerTo(made, 1).trailers(fieldsOf(["grpc-status: 0"]));
    assert.deepEqual([status(seen), seen.body, seen.trailers], [200, "", ["grpc-status: 0"]]);
  });

  test("outbound 16.13: passes when a second message comes, or nothing comes at once", () => {
    const made = build(retryable(), silent);
    const [two, slow] = [call(made.service, "/r", GRPC), call(made.service, "/r", GRPC)];
    for (const i of [0, 1]) {
      answerTo(made, i).head(headOf(20, 200), false);
      send(answerTo(made, i), "one", false);
    }
    send(answerTo(made, 0), "two", false);
    assert.equal(two.body, "onetwo");
    made.clock.advance(0);
    assert.equal(slow.body, "one");
    for (const i of [0, 1]) answerTo(made, i).trailers(fieldsOf(["grpc-status: 14"]));
    assert.deepEqual([two.trailers, slow.trailers], [["grpc-status: 14"], ["grpc-status: 14"]]);
    assert.equal(attempts(made), 2);
  });

  test("is not held over HTTP/1, nor where the head decides", () => {
    const made = build(retryable(), silent);
    const [http1, plain] = [
      call(made.service, "/r", { headers: ["content-type: application/grpc"] }),
      call(made.service, "/r", { version: 20 }),
    ];
    answerTo(made, 0).head(headOf(11, 200), false);
    answerTo(made, 1).head(headOf(20, 200), false);
    assert.deepEqual([status(http1), status(plain)], [200, 200]);
  });

  test("that breaks off while it is held passes with its error", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r", GRPC);
    answerTo(made, 0).head(headOf(20, 200), false);
    answerTo(made, 0).reset(new ProxyError("h2_reset", "reset", { h2Code: 2 }));
    assert.equal(seen.head?.status, 200);
    assert.equal(seen.error?.code, "h2_reset");
  });

  test("that the application leaves while it is held comes to nothing", () => {
    const made = build(retryable(), silent);
    const seen = call(made.service, "/r", GRPC);
    answerTo(made, 0).head(headOf(20, 200), false);
    send(answerTo(made, 0), "one", false);
    seen.sink.reset(new ProxyError("canceled", "gave up"));
    assert.equal(made.clock.timers, 0);
    assert.equal(status(seen), "pending");
    assert.equal(made.backends.get(WEB).seen[0]?.reset?.message, "gave up");
  });
});
