import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NameAddr } from "../../src/addr/name-addr.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { InboundProfiles } from "../../src/inbound/profiles.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import type { Profile, ProfileRoute } from "../../src/policy/client-policy.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { NOBODY, unwrap } from "../conformance/inbound-listener.ts";
import { parsePage, scrape, type Page } from "../metrics/page.ts";
import { sum } from "../socket/pair.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";

const TIMEOUT_MS = 500;

function nameAddr(name: string, port = 80): NameAddr {
  return { name: unwrap(parseDnsName(name)), port };
}

const GET_ROUTE: ProfileRoute = {
  condition: { kind: "method", method: "GET" },
  labels: [["route", "reads"]],
  // Teapots are what this service is about.
  responseClasses: [{ condition: { kind: "status", low: 400, high: 417 }, isFailure: true }],
  isRetryable: true,
  timeoutMs: 1,
};
const PROFILE: Profile = {
  logical: nameAddr("web.shop.svc.cluster.local"),
  opaqueProtocol: false,
  endpoint: undefined,
  routes: [GET_ROUTE],
  targets: [],
  retryBudget: undefined,
};

function setUp(unreachable?: string) {
  const clock = new FakeClock();
  const registry = new MetricRegistry(clock, 600_000);
  const families = createFamilies(registry);
  const asked: { readonly name: string; readonly signal: AbortSignal }[] = [];
  const { promise, resolve } = Promise.withResolvers<WatchCell<Profile> | undefined>();
  const control = {
    ...NOBODY,
    unreachable,
    watchProfile: (target: { readonly kind: string }, signal: AbortSignal) => {
      asked.push({ name: JSON.stringify(target), signal });
      return promise;
    },
  };
  const profiles = new InboundProfiles(
    { control, clock, families },
    { suffixes: ["svc.cluster.local."], initialTimeoutMs: TIMEOUT_MS, idleTimeoutMs: 90_000, capacity: 2 },
  );
  const app = new ScriptedService();
  const around = (name = "web.shop.svc.cluster.local") => {
    const handle = profiles.acquire(nameAddr(name));
    assert.ok(handle);
    return { service: handle.value.around(app), handle };
  };
  const come = async (profile: WatchCell<Profile> | undefined): Promise<void> => {
    resolve(profile);
    await promise;
    await Promise.resolve();
  };
  const page = async (): Promise<Page> => parsePage(await scrape(registry));
  return { clock, asked, app, around, come, page, profiles };
}

const LABELS = { direction: "inbound", dst: "web.shop.svc.cluster.local:80", rt_route: "reads" };

describe("ServiceProfiles on the inbound side", () => {
  test("inbound 7.3: requests are counted by the route that takes them, and judged by its classes", async () => {
    const { around, come, app, page } = setUp();
    const { service } = around();
    await come(new WatchCell(PROFILE));
    for (const [method, status] of [
      ["GET", 200],
      ["GET", 404],
      ["GET", 503],
      ["POST", 200],
    ] as const) {
      service.call(requestHead(method, "/"), true, new RecordingSink());
      app.at(app.requests.length - 1).response.head(responseHead(status), true);
    }
    const now = await page();
    assert.equal(sum(now, "route_request_total", LABELS), 3);
    assert.equal(sum(now, "route_request_total"), 3, "what no route takes is not counted");
    const responses = (classification: string): number =>
      sum(now, "route_response_total", { ...LABELS, classification });
    assert.deepEqual([responses("success"), responses("failure")], [1, 2]);
    assert.equal(sum(now, "route_response_latency_ms_count", LABELS), 3);
    assert.equal(sum(now, "route_actual_request_total"), 0);
  });

  test("inbound 7.3: its timeouts and retries mean nothing here", async () => {
    const { around, come, app, clock } = setUp();
    const { service } = around();
    await come(new WatchCell(PROFILE));
    const sink = new RecordingSink();
    service.call(requestHead("GET", "/"), true, sink);
    clock.advance(60_000);
    app.at(0).response.reset(new ProxyError("io", "gone"));
    assert.equal(app.requests.length, 1);
    assert.deepEqual(sink.events, ["reset io"]);
  });

  test("inbound 7.3: a request waits for the profile that is asked for, but not longer than the timeout", async () => {
    const { around, app, clock, come } = setUp();
    const { service } = around();
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    clock.advance(TIMEOUT_MS - 1);
    assert.equal(app.requests.length, 0);
    clock.advance(1);
    assert.equal(app.requests.length, 1);
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    assert.equal(app.requests.length, 2, "and the next does not wait again");
    await come(new WatchCell(PROFILE));
  });

  test("inbound 7.3: a profile that comes in time finds the request, and one that comes late the next", async () => {
    for (const late of [false, true]) {
      const { around, app, clock, come, page } = setUp();
      const { service } = around();
      service.call(requestHead("GET", "/"), true, new RecordingSink());
      if (late) clock.advance(TIMEOUT_MS);
      await come(new WatchCell(PROFILE));
      assert.equal(app.requests.length, 1);
      assert.equal(sum(await page(), "route_request_total"), late ? 0 : 1);
      service.call(requestHead("GET", "/"), true, new RecordingSink());
      assert.equal(sum(await page(), "route_request_total"), late ? 1 : 2);
    }
  });

  test("requests that wait are bounded, and one that its client gives up is not sent", async () => {
    const { around, app, come } = setUp();
    const { service } = around();
    service
      .call(requestHead("GET", "/1"), true, new RecordingSink())
      .reset(new ProxyError("canceled", "left"));
    service.call(requestHead("GET", "/2"), true, new RecordingSink());
    const sink = new RecordingSink();
    service.call(requestHead("GET", "/3"), true, sink);
    assert.deepEqual(sink.events, ["reset loadshed"]);
    await come(undefined);
    assert.deepEqual(
      app.requests.map(({ head }) => head.path?.value),
      ["/2"],
    );
  });

  test("nobody waits for a control plane that is known to be away", () => {
    const { around, app } = setUp("connection refused");
    around().service.call(requestHead("GET", "/"), true, new RecordingSink());
    assert.equal(app.requests.length, 1);
  });

  test("inbound 7.3: only names of the configured suffixes are asked about, each once while it is held", async () => {
    const { around, asked, profiles, clock, come } = setUp();
    assert.equal(profiles.acquire(nameAddr("web.example.com")), undefined);
    const one = around();
    const two = around();
    assert.equal(asked.length, 1);
    await come(new WatchCell(PROFILE));
    one.handle.release();
    two.handle.release();
    clock.advance(89_999);
    assert.equal(asked[0]?.signal.aborted, false);
    clock.advance(1);
    assert.equal(asked[0]?.signal.aborted, true);
  });

  test("names that clients choose are bounded: further ones go without", () => {
    const { profiles } = setUp();
    let given = 0;
    for (let i = 0; i < 3_000; i++) {
      if (profiles.acquire(nameAddr(`web-${i}.shop.svc.cluster.local`)) !== undefined) given++;
    }
    assert.equal(given, 1024);
  });

  test("a profile that changes is followed: its routes begin anew", async () => {
    const { around, come, page } = setUp();
    const { service } = around();
    const watch = new WatchCell(PROFILE);
    await come(watch);
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    watch.publish({ ...PROFILE, routes: [{ ...GET_ROUTE, labels: [["route", "all"]] }] });
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    watch.publish({ ...PROFILE, routes: [] });
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    const now = await page();
    assert.equal(sum(now, "route_request_total", { rt_route: "reads" }), 1);
    assert.equal(sum(now, "route_request_total", { rt_route: "all" }), 1);
    assert.equal(sum(now, "route_request_total"), 2);
  });

  test("a profile without a name of its own counts nothing", async () => {
    const { around, come, page } = setUp();
    const { service } = around();
    await come(new WatchCell<Profile>({ ...PROFILE, logical: undefined }));
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    assert.equal(sum(await page(), "route_request_total"), 0);
  });
});
