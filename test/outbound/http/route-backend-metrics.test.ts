import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import { createFamilies } from "../../../src/metrics/families.ts";
import { MetricRegistry } from "../../../src/metrics/metric-registry.ts";
import { LogicalService } from "../../../src/outbound/http/logical.ts";
import { RouteMetricsFactory } from "../../../src/outbound/http/route-metrics.ts";
import type { ClientPolicy, HttpRetry } from "../../../src/policy/client-policy.ts";
import type { Filter } from "../../../src/policy/filter.ts";
import { metaDefault } from "../../../src/policy/meta.ts";
import { DEFAULT_LOAD, NO_TIMEOUTS } from "../../../src/policy/synthesize.ts";
import { ConcurrencyLimit } from "../../../src/stack/concurrency-limit.ts";
import { WatchCell } from "../../../src/watch/watch.ts";
import { scrape } from "../../metrics/page.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { fieldsOf, responseHead, send, type SeenRequest } from "../../support/recording-app.ts";
import { name } from "../scripted.ts";
import { call, ScriptedBackends } from "./scripted-backends.ts";

interface SetUp {
  readonly filters?: readonly Filter[];
  readonly retry?: HttpRetry;
  readonly isGrpc?: boolean;
}

const NO_BACKOFF = { maxRequestBytes: 100, timeoutMs: undefined, backoff: undefined };
const ON_503: HttpRetry = { ...NO_BACKOFF, statusRanges: [{ low: 503, high: 503 }], maxRetries: 1 };

/** A policy of one route with one backend, which answers nothing by itself. */
function setUp({ filters = [], retry, isGrpc = false }: SetUp = {}) {
  const clock = new FakeClock(1_000);
  const registry = new MetricRegistry(clock, 600_000);
  const backends = new ScriptedBackends(() => {});
  const path = name("web.shop.svc.cluster.local:80");
  const backend = {
    meta: metaDefault("web"),
    dispatcher: { kind: "balance", path, load: DEFAULT_LOAD },
  } as const;
  const rule = {
    matches: [],
    filters: [],
    distribution: { kind: "first_available", backends: [{ backend, filters }] } as const,
    timeouts: NO_TIMEOUTS,
    allowL5dRequestHeaders: false,
  };
  const meta = metaDefault("route");
  const http = { routes: [{ meta, hosts: [], rules: [{ ...rule, retry }] }], failureAccrual: undefined };
  const grpcRule = { ...rule, retry: undefined } as never;
  const policy: ClientPolicy = {
    parent: metaDefault("parent"),
    protocol: isGrpc
      ? {
          kind: "grpc",
          grpc: { routes: [{ meta, hosts: [], rules: [grpcRule] }], failureAccrual: undefined },
        }
      : { kind: "http1", http1: http },
  };
  const service = new LogicalService(1, "10.0.0.1:80", new WatchCell(policy), backends.cache, {
    clock,
    random: () => 0,
    metrics: new RouteMetricsFactory(createFamilies(registry), () => clock.nowMs()),
    inFlight: new ConcurrencyLimit(100),
  });
  const kind = isGrpc ? "grpc" : "http";
  const attempt = (i = 0): SeenRequest => {
    const seen = backends.get("default.web").seen[i];
    assert.ok(seen, `there is no attempt ${i}`);
    return seen;
  };
  /** Samples of a set by what follows its prefix and the labels that all have. */
  const samples = async (prefix: string, labels: string): Promise<Map<string, string>> => {
    const lines = (await scrape(registry)).split("\n").filter((line) => line.startsWith(prefix));
    return new Map(
      lines.map((line) => {
        assert.ok(line.includes(labels), line);
        const [series = "", value = ""] = line.slice(prefix.length).replace(labels, "").split(" ");
        return [series.replace("{}", "").replace("{,", "{").replace(",}", "}"), value];
      }),
    );
  };
  const page = (): Promise<Map<string, string>> => samples(`outbound_${kind}_route_backend_`, LABELS);
  const routePage = (): Promise<Map<string, string>> =>
    samples(`outbound_${kind}_route_request_`, `${ROUTE_LABELS},hostname=""`);
  return { clock, service, attempt, page, routePage };
}

/** In the order in which they are printed. */
const ROUTE_LABELS = [
  'parent_group="",parent_kind="default",parent_namespace="",parent_name="parent",parent_port="",parent_section_name=""',
  'route_group="",route_kind="default",route_namespace="",route_name="route"',
].join();
const LABELS = [
  ROUTE_LABELS,
  'backend_group="",backend_kind="default",backend_namespace="",backend_name="web",backend_port="",backend_section_name=""',
].join();

test("config-admin-metrics 7.5: a backend counts a request, its status, its chunks, and its time from the end of the request", async () => {
  const made = setUp();
  const seen = call(made.service, "/", { method: "POST", last: false });
  made.clock.advance(1_000);
  send(seen.sink, "body", true);
  made.clock.advance(200);
  made.attempt().response.head(responseHead(201), false);
  send(made.attempt().response, "x".repeat(200), true);
  const page = await made.page();
  assert.equal(page.get("requests_total"), "1");
  assert.equal(page.get('response_statuses_total{http_status="201",error=""}'), "1");
  assert.equal(page.get("response_duration_seconds_sum"), "0.2");
  assert.equal(page.get('response_duration_seconds_bucket{le="0.1"}'), "0");
  assert.equal(page.get('response_duration_seconds_bucket{le="0.25"}'), "1");
  assert.equal(page.get('response_frame_size_bytes_bucket{le="128.0"}'), "0");
  assert.equal(page.get('response_frame_size_bytes_bucket{le="1024.0"}'), "1");
});

test("config-admin-metrics 7.5: a response that came before its request had ended took no time", async () => {
  const made = setUp();
  call(made.service, "/", { method: "POST", last: false });
  made.clock.advance(1_000);
  made.attempt().response.head(responseHead(413), true);
  const page = await made.page();
  assert.deepEqual(
    [page.get("response_duration_seconds_count"), page.get("response_duration_seconds_sum")],
    ["1", "0.0"],
  );
});

test("config-admin-metrics 7.5: a status is kept when the body fails, and an error without one has none", async () => {
  const made = setUp();
  for (let i = 0; i < 3; i++) call(made.service, "/");
  made.attempt(0).response.head(responseHead(200), false);
  made.attempt(0).response.reset(new ProxyError("h2_reset", "reset", { h2Code: 11 }));
  made.attempt(1).response.reset(new ProxyError("failfast", "service in fail-fast"));
  made.attempt(2).response.reset(new ProxyError("h2_goaway", "gone"));
  const page = await made.page();
  assert.equal(page.get('response_statuses_total{http_status="200",error="ENHANCE_YOUR_CALM"}'), "1");
  assert.equal(page.get('response_statuses_total{http_status="",error="FAIL_FAST"}'), "1");
  assert.equal(page.get('response_statuses_total{http_status="",error="GO_AWAY"}'), "1");
});

test("config-admin-metrics 7.5: a backend counts each attempt", async () => {
  const made = setUp({ retry: ON_503 });
  const seen = call(made.service, "/");
  made.attempt(0).response.head(responseHead(503), true);
  made.clock.advance(0);
  made.attempt(1).response.head(responseHead(200), true);
  assert.equal(seen.head?.status, 200);
  const page = await made.page();
  assert.equal(page.get("requests_total"), "2");
  assert.equal(page.get('response_statuses_total{http_status="503",error=""}'), "1");
  assert.equal(page.get('response_statuses_total{http_status="200",error=""}'), "1");
  assert.equal(page.get("response_duration_seconds_count"), "2");
});

test("config-admin-metrics 7.5: a route counts the pieces of request bodies once, however often they are sent", async () => {
  const made = setUp({ retry: ON_503 });
  const seen = call(made.service, "/", { method: "POST", last: false });
  send(seen.sink, "x".repeat(20), false);
  send(seen.sink, "x".repeat(60), true);
  made.attempt(0).response.head(responseHead(503), true);
  made.clock.advance(0);
  made.attempt(1).response.head(responseHead(200), true);
  const page = await made.routePage();
  assert.equal(page.get("frame_size_bytes_count"), "2");
  assert.equal(page.get("frame_size_bytes_sum"), "80.0");
});

test("config-admin-metrics 7.5: gRPC routes count request messages as they pass, and none for a request without body", async () => {
  const made = setUp({ isGrpc: true });
  const options = { method: "POST", version: 20, headers: ["content-type: application/grpc"] } as const;
  const seen = call(made.service, "/shop.Cart/Pay", { ...options, last: false });
  send(seen.sink, "x".repeat(2_000), true);
  call(made.service, "/shop.Cart/Get", options);
  const page = await made.routePage();
  assert.equal(page.get('frame_size_bytes_bucket{le="1024.0"}'), "0");
  assert.equal(page.get('frame_size_bytes_bucket{le="10240.0"}'), "1");
  assert.equal(page.get("frame_size_bytes_count"), "1");
});

test("config-admin-metrics 7.5: gRPC routes count by code, and trailers override the head", async () => {
  const made = setUp({ isGrpc: true });
  const options = { method: "POST", version: 20, headers: ["content-type: application/grpc"] } as const;
  for (let i = 0; i < 3; i++) call(made.service, "/shop.Cart/Pay", options);
  made.attempt(0).response.head(responseHead(200, "grpc-status: 0"), false);
  made.attempt(0).response.trailers(fieldsOf(["grpc-status: 5"]));
  made.attempt(1).response.head(responseHead(200, "grpc-status: nobody knows"), true);
  made.attempt(2).response.head(responseHead(200), true);
  const page = await made.page();
  assert.equal(page.get("requests_total"), "3");
  assert.equal(page.get('response_statuses_total{grpc_status="NOT_FOUND",error=""}'), "1");
  assert.equal(page.get('response_statuses_total{grpc_status="UNKNOWN",error=""}'), "2");
});

test("a request that a filter of the backend answers counts as dispatched to it", async () => {
  const made = setUp({ filters: [{ kind: "internal_error", message: "no" }] });
  assert.notEqual(call(made.service, "/").error, undefined);
  assert.equal((await made.page()).get("requests_total"), "1");
});

test("the series of a route's backends go with the route, after their retention", async () => {
  const made = setUp();
  call(made.service, "/");
  made.attempt().response.head(responseHead(200), true);
  made.service.close();
  assert.equal((await made.page()).get("requests_total"), "1");
  made.clock.advance(600_001);
  // Shown once more, and then dropped.
  await made.page();
  assert.equal((await made.page()).size, 0);
  assert.equal((await made.routePage()).size, 0);
});
