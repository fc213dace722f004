import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createFamilies } from "../../../src/metrics/families.ts";
import { MetricRegistry } from "../../../src/metrics/metric-registry.ts";
import { LogicalService } from "../../../src/outbound/http/logical.ts";
import { RouteMetricsFactory } from "../../../src/outbound/http/route-metrics.ts";
import type {
  Backend,
  ClientPolicy,
  ClientRule,
  Distribution,
  GrpcClientRoute,
  HttpClientRoute,
} from "../../../src/policy/client-policy.ts";
import type { Filter, HeaderModifier } from "../../../src/policy/filter.ts";
import { invalidClientPolicy } from "../../../src/policy/invalid.ts";
import { metaDefault } from "../../../src/policy/meta.ts";
import { DEFAULT_LOAD, NO_TIMEOUTS } from "../../../src/policy/synthesize.ts";
import { ConcurrencyLimit } from "../../../src/stack/concurrency-limit.ts";
import { WatchCell } from "../../../src/watch/watch.ts";
import { headerName, type HeaderName } from "../../../src/wire/header-field.ts";
import { scrape } from "../../metrics/page.ts";
import { httpMatch } from "../../policy/requests.ts";
import { seeded } from "../../support/chance.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { name } from "../scripted.ts";
import { call, ScriptedBackends } from "./scripted-backends.ts";

const backend = (text: string): Backend => ({
  meta: metaDefault(text),
  dispatcher: { kind: "balance", path: name(`${text}.shop.svc.cluster.local:80`), load: DEFAULT_LOAD },
});
const first = (...names: string[]): Distribution => ({
  kind: "first_available",
  backends: names.map((text) => ({ backend: backend(text), filters: [] })),
});
const random = (weights: Readonly<Record<string, number>>): Distribution => ({
  kind: "random_available",
  backends: Object.entries(weights).map(([text, weight]) => ({
    backend: backend(text),
    filters: [],
    weight,
  })),
});

function rule<Match>(more: Partial<ClientRule<Match, never>> = {}): ClientRule<Match, never> {
  return {
    matches: [],
    filters: [],
    distribution: first("web"),
    timeouts: NO_TIMEOUTS,
    retry: undefined,
    allowL5dRequestHeaders: false,
    ...more,
  };
}
const http = (...rules: HttpClientRoute["rules"]): ClientPolicy => ({
  parent: metaDefault("parent"),
  protocol: {
    kind: "http1",
    http1: { routes: [{ meta: metaDefault("http"), hosts: [], rules }], failureAccrual: undefined },
  },
});
const grpc = (...rules: GrpcClientRoute["rules"]): ClientPolicy => ({
  parent: metaDefault("parent"),
  protocol: {
    kind: "grpc",
    grpc: { routes: [{ meta: metaDefault("grpc"), hosts: [], rules }], failureAccrual: undefined },
  },
});

function build(policy: ClientPolicy) {
  const clock = new FakeClock();
  const registry = new MetricRegistry(clock, 600_000);
  const families = createFamilies(registry);
  const backends = new ScriptedBackends();
  const watch = new WatchCell(policy);
  const service = new LogicalService(1, "10.0.0.1:80", watch, backends.cache, {
    clock,
    random: seeded(11),
    metrics: new RouteMetricsFactory(families, () => clock.nowMs()),
    inFlight: new ConcurrencyLimit(100),
  });
  return { backends, watch, service, page: () => scrape(registry) };
}

const pair = (header: string, value: string): readonly [HeaderName, string] => [headerName(header), value];
const set = (kind: "request_headers" | "response_headers", header: string, value: string): Filter => {
  const modifier: HeaderModifier = { add: [], set: [pair(header, value)], remove: [] };
  return { kind, modifier };
};
const ALWAYS = { numerator: 1, denominator: 1 };

describe("outbound 4.2: requests and the rules of a policy", () => {
  test("go where the best rule says, and nowhere without one", () => {
    const { service, backends } = build(
      http(
        rule({
          matches: [httpMatch({ path: { kind: "prefix", prefix: "/a" } })],
          distribution: first("short"),
        }),
        rule({
          matches: [httpMatch({ path: { kind: "exact", path: "/a/b" } })],
          distribution: first("long"),
        }),
      ),
    );
    call(service, "/a/c");
    call(service, "/a/b");
    const lost = call(service, "/b");
    assert.deepEqual(backends.counts, { "default.short": 1, "default.long": 1 });
    assert.equal(lost.error?.code, "route_not_found");
    assert.equal(lost.error.message, "logical service 10.0.0.1:80: no route");
  });

  test("of gRPC match by service and method, and only as calls", () => {
    const { service, backends } = build(
      grpc(
        rule({
          matches: [{ service: "shop.Cart", method: undefined, headers: [] }],
          distribution: first("cart"),
        }),
        rule({ matches: [{ service: "shop.Cart", method: "Pay", headers: [] }], distribution: first("pay") }),
      ),
    );
    const post = { method: "POST", version: 20 } as const;
    call(service, "/shop.Cart/Pay", post);
    call(service, "/shop.Cart/Add", post);
    assert.deepEqual(backends.counts, { "default.pay": 1, "default.cart": 1 });
    assert.equal(call(service, "/shop.Cart/Pay", { version: 20 }).error?.code, "route_not_found");
    assert.equal(call(service, "/shop.Stock/Get", post).error?.code, "route_not_found");
  });
});

describe("outbound 4.3: filters", () => {
  test("of the route change the request before those of the backend, and the response after them", () => {
    const withFilters: Distribution = {
      kind: "first_available",
      backends: [
        {
          backend: backend("web"),
          filters: [
            set("request_headers", "who", "backend"),
            set("response_headers", "who", "backend"),
            set("response_headers", "only", "backend"),
          ],
        },
      ],
    };
    const { service, backends } = build(
      http(
        rule({
          filters: [set("request_headers", "who", "route"), set("response_headers", "who", "route")],
          distribution: withFilters,
        }),
      ),
    );
    const seen = call(service, "/");
    assert.deepEqual(backends.get("default.web").seen[0]?.fields, ["who: backend"]);
    assert.deepEqual(seen.fields, ["content-length: 2", "only: backend", "who: route"]);
  });

  test("that answer keep the request from every backend, and their words from any prefix", () => {
    const failure: Filter = {
      kind: "http_failure",
      status: 403,
      message: "traffic not allowed",
      ratio: ALWAYS,
    };
    const { service, backends } = build(http(rule({ filters: [failure, set("request_headers", "x", "1")] })));
    const { error } = call(service, "/");
    assert.deepEqual(
      [error?.code, error?.message, error?.detail.status],
      ["injected_failure", "traffic not allowed", 403],
    );
    assert.deepEqual(backends.counts, { "default.web": 0 });
  });

  test("outbound 13.1: that deny gRPC are counted under their own code", async () => {
    const failure: Filter = { kind: "grpc_failure", code: 7, message: "traffic not allowed", ratio: ALWAYS };
    const { service, page } = build(grpc(rule({ filters: [failure] })));
    const { error } = call(service, "/a/b", { method: "POST", version: 20 });
    assert.equal(error?.detail.grpcStatus, 7);
    assert.match(
      await page(),
      /^outbound_grpc_route_request_statuses_total\{.*grpc_status="PERMISSION_DENIED",error=""\} 1$/m,
    );
  });

  test("that redirect replace the prefix that their rule matched, and fail where it matched none", () => {
    const redirect: Filter = {
      kind: "redirect",
      scheme: "https",
      host: undefined,
      port: undefined,
      path: { kind: "prefix", replacement: "/new" },
      status: 302,
    };
    const { service } = build(
      http(
        rule({ matches: [httpMatch({ path: { kind: "prefix", prefix: "/old" } })], filters: [redirect] }),
        rule({ matches: [httpMatch({ path: { kind: "exact", path: "/exact" } })], filters: [redirect] }),
      ),
    );
    const { error } = call(service, "/old/x?q=1");
    assert.deepEqual([error?.detail.status, error?.detail.location], [302, "https://web/new/x?q=1"]);
    assert.equal(call(service, "/exact").error?.code, "invalid_policy");
  });

  test("of an invalid policy fail every request", () => {
    const { service } = build(invalidClientPolicy(10_000));
    const { error } = call(service, "/");
    assert.equal(error?.code, "invalid_policy");
    assert.match(error.message, /invalid client policy configuration$/);
  });
});

describe("outbound 4.6: backends", () => {
  test("outbound 16.22: of weight 0 are never drawn among several, and always when alone", () => {
    const two = build(http(rule({ distribution: random({ web: 1, never: 0 }) })));
    for (let i = 0; i < 500; i++) call(two.service, "/");
    assert.deepEqual(two.backends.counts, { "default.web": 500, "default.never": 0 });
    two.backends.get("default.web").available = false;
    assert.equal(call(two.service, "/").error?.code, "loadshed");
    const one = build(http(rule({ distribution: random({ never: 0 }) })));
    call(one.service, "/");
    assert.deepEqual(one.backends.counts, { "default.never": 1 });
  });

  test("outbound 16.9: are drawn by weight, and passed over while in failfast", () => {
    const { service, backends } = build(http(rule({ distribution: random({ web: 90, canary: 10 }) })));
    for (let i = 0; i < 10_000; i++) call(service, "/");
    const canary = backends.get("default.canary").seen.length;
    assert.ok(canary > 900 && canary < 1_100, `${canary} of 10000`);
    backends.get("default.canary").available = false;
    for (let i = 0; i < 100; i++) assert.equal(call(service, "/").head?.status, 200);
    assert.equal(backends.get("default.canary").seen.length, canary);
  });

  test("are taken in the order of the list where no weights are given", () => {
    const { service, backends } = build(http(rule({ distribution: first("web", "spare") })));
    call(service, "/");
    backends.get("default.web").available = false;
    call(service, "/");
    backends.get("default.web").available = true;
    call(service, "/");
    assert.deepEqual(backends.counts, { "default.web": 2, "default.spare": 1 });
  });

  test("that do not exist at all are an immediate refusal", () => {
    const { service } = build(http(rule({ distribution: { kind: "empty" } })));
    const { error } = call(service, "/");
    assert.equal(error?.code, "loadshed");
    assert.equal(error.message, "logical service 10.0.0.1:80: route default.http: service unavailable");
  });
});
