import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { EndpointMetrics } from "../../src/http/endpoint-metrics.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type HttpService,
  type ResponseSink,
} from "../../src/http/message.ts";
import { ApplicationService, CountDispatched } from "../../src/inbound/application-service.ts";
import type { ApplicationTarget } from "../../src/inbound/application.ts";
import type { InboundConnection } from "../../src/inbound/connection.ts";
import type { InboundContext } from "../../src/inbound/context.ts";
import { InboundRouter } from "../../src/inbound/http-router.ts";
import { portPolicy, type PortPolicy } from "../../src/inbound/port-policy.ts";
import { NO_LOG } from "../../src/log/log.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { defaultServerPolicy } from "../../src/policy/default-policies.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { parsePage, scrape } from "../metrics/page.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordingApp, responseHead, textOf, type SeenRequest } from "../support/recording-app.ts";

function addr(text: string): SocketAddr {
  const parsed = parseSocketAddr(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

const policies = { detectTimeoutMs: 10_000, clusterNetworks: [] };
const OPEN = defaultServerPolicy("all-unauthenticated", policies);
/** The client of these tests has no identity. */
const DENY = defaultServerPolicy("all-authenticated", policies);
const OPAQUE: ServerPolicy = { ...OPEN, protocol: { kind: "opaque" } };

function setUp(policy: ServerPolicy) {
  const clock = new FakeClock();
  const registry = new MetricRegistry(clock, 600_000);
  const families = createFamilies(registry);
  const app = new RecordingApp();
  const acquired: { readonly target: ApplicationTarget; held: boolean }[] = [];
  const context: Pick<InboundContext, "clock" | "random" | "log" | "families" | "applications"> = {
    clock,
    random: () => 0.5,
    log: NO_LOG,
    families,
    applications: {
      hasRoom: true,
      acquire: (target) => {
        const entry = { target, held: true };
        acquired.push(entry);
        return { value: app, release: () => (entry.held = false) };
      },
      connect: () => Promise.reject(new ProxyError("unexpected", "HTTP only")),
    },
  };
  const watch = new WatchCell<PortPolicy>(portPolicy(policy, undefined));
  const connection: InboundConnection = {
    client: addr("192.0.2.1:4711"),
    tls: { kind: "none", reason: "no_tls_from_remote" },
    target: addr("192.0.2.2:80"),
    policy: watch,
  };
  // The router uses what is in the pick.
  const router = new InboundRouter(context as InboundContext, connection, 1);
  const publish = (next: ServerPolicy): void => watch.publish(portPolicy(next, watch.value));
  return { app, acquired, router, publish, registry, families, clock };
}

function ask(service: HttpService, authority = "web"): string[] {
  const events: string[] = [];
  const response: ResponseSink = {
    head: (head) => events.push(`${head.status} ${textOf(head.fields).join("; ")}`),
    data: () => {},
    trailers: () => {},
    reset: (error) => events.push(error.code),
    credit: () => {},
  };
  const head = new RequestHead(
    11,
    headerField(METHOD, "GET"),
    SCHEME_HTTP,
    headerField(AUTHORITY, authority),
    headerField(PATH, "/"),
    [],
    0,
  );
  service.call(head, true, response);
  return events;
}

test("an authorized request goes to the application, one client per authority", () => {
  const { router, acquired } = setUp(OPEN);
  assert.match(ask(router)[0] ?? "", /^200 /);
  ask(router);
  ask(router, "other");
  assert.deepEqual(
    acquired.map(({ target }) => target.authority),
    ["web", "other"],
  );
  router.close();
  assert.deepEqual(
    acquired.map(({ held }) => held),
    [false, false],
  );
});

test("a request that nobody authorized does not reach the application, and is counted", async () => {
  const { router, app, registry } = setUp(DENY);
  assert.deepEqual(ask(router), ["unauthorized"]);
  assert.equal(app.seen.length, 0);
  const { samples } = parsePage(await scrape(registry));
  assert.equal(samples.find(({ name }) => name === "inbound_http_authz_deny_total")?.value, 1);
});

test("a change of policy holds for the next request of a connection, and lets go of its clients", () => {
  const { router, acquired, publish } = setUp(OPEN);
  ask(router);
  publish(DENY);
  assert.deepEqual(ask(router), ["unauthorized"]);
  assert.equal(acquired[0]?.held, false);
  publish(OPEN);
  assert.match(ask(router)[0] ?? "", /^200 /);
});

test("no request passes under a policy that knows no HTTP", async () => {
  const { router, registry } = setUp(OPAQUE);
  assert.deepEqual(ask(router), ["route_not_found"]);
  const { samples } = parsePage(await scrape(registry));
  assert.equal(samples.find(({ name }) => name === "inbound_http_route_not_found_total")?.value, 1);
});

test("a client that names more authorities than it may holds no more clients than that", () => {
  const { router, acquired } = setUp(OPEN);
  for (let i = 0; i < 1_000; i++) ask(router, `host-${i}`);
  assert.ok(acquired.filter(({ held }) => held).length <= 64);
});

/** An application service over an app that answers when told to. */
function limited(max: number) {
  const { clock, families, registry } = setUp(OPEN);
  const waiting: SeenRequest[] = [];
  const seen = new RecordingApp((request) => void waiting.push(request));
  const metrics = new EndpointMetrics(families, [["direction", "inbound"]], () => clock.nowMs());
  const dispatched = new CountDispatched(metrics, seen);
  const service = new ApplicationService(metrics, undefined, new ConcurrencyLimit(max), dispatched);
  return { service, waiting, metrics, clock, registry };
}

test("requests beyond the limit are shed until a response has begun", () => {
  const { service, waiting } = limited(2);
  ask(service);
  ask(service);
  assert.deepEqual(ask(service), ["loadshed"]);
  waiting[0]?.response.head(responseHead(200), false);
  assert.deepEqual(ask(service), []);
  waiting[1]?.response.reset(new ProxyError("io", "gone"));
  assert.deepEqual(ask(service), []);
  assert.deepEqual(ask(service), ["loadshed"]);
});

test("the application's own l5d-proxy headers stay behind", () => {
  const { service, waiting } = limited(1);
  const events = ask(service);
  waiting[0]?.response.head(
    responseHead(200, "l5d-proxy-error: forged", "l5d-proxy-connection: close", "x-own: 1"),
    true,
  );
  assert.deepEqual(events, ["200 x-own: 1"]);
});

test("a response that ends after its stack was closed is counted, and its series is not held for ever", async () => {
  const { service, waiting, metrics, clock, registry } = limited(1);
  ask(service);
  metrics.close();
  waiting[0]?.response.head(responseHead(204), true);
  const { samples } = parsePage(await scrape(registry));
  assert.equal(samples.find(({ name }) => name === "response_total")?.value, 1);
  clock.advance(600_001);
  // Shown once more, and then dropped.
  await scrape(registry);
  assert.deepEqual(parsePage(await scrape(registry)).samples, []);
});

test("a request that its client gave up before any response is no response", async () => {
  const { service, registry } = limited(1);
  const head = new RequestHead(
    11,
    headerField(METHOD, "GET"),
    undefined,
    undefined,
    headerField(PATH, "/"),
    [],
    0,
  );
  const nothing = (): void => {};
  const sink: ResponseSink = {
    head: nothing,
    data: nothing,
    trailers: nothing,
    reset: nothing,
    credit: nothing,
  };
  service.call(head, true, sink).reset(new ProxyError("canceled", "gone"));
  const { samples } = parsePage(await scrape(registry));
  assert.equal(samples.find(({ name }) => name === "request_total")?.value, 1);
  assert.equal(
    samples.find(({ name }) => name === "response_total"),
    undefined,
  );
  assert.match(ask(service).join(), /^$/);
});
