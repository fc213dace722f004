import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { BalancerMetricsFactory } from "../../src/outbound/balancer-metrics.ts";
import { HttpBalancer } from "../../src/outbound/http/balancer.ts";
import { OpaqueStack } from "../../src/outbound/opaque.ts";
import { TlsStack } from "../../src/outbound/tls/tls-stack.ts";
import type { Backend, ClientPolicy } from "../../src/policy/client-policy.ts";
import { NO_METADATA } from "../../src/policy/endpoint.ts";
import { metaDefault, type Meta } from "../../src/policy/meta.ts";
import { DEFAULT_LOAD } from "../../src/policy/synthesize.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { parsePage, scrape } from "../metrics/page.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordingSink, requestHead, ScriptedService } from "../support/h2-exchange.ts";
import { addr, name, ScriptedControlPlane, scriptedContext } from "./scripted.ts";

const FAILFAST_MS = 3_000;
const PARENT = metaDefault("parent");
const WEB: Meta = {
  kind: "resource",
  group: "core",
  resourceKind: "Service",
  namespace: "shop",
  name: "web",
  section: "",
  port: 80,
};
/** In the order in which they are printed. */
const LABELS =
  'parent_group="",parent_kind="default",parent_namespace="",parent_name="parent",parent_port="",parent_section_name="",' +
  'backend_group="core",backend_kind="Service",backend_namespace="shop",backend_name="web",backend_port="80",backend_section_name=""';

function setUp() {
  const clock = new FakeClock(1_000);
  const registry = new MetricRegistry(clock, 600_000);
  const families = createFamilies(registry);
  const balancerMetrics = new BalancerMetricsFactory(families);
  registry.beforeScrape(() => balancerMetrics.refresh());
  /** Samples of the set of a kind by what follows its prefix, with the labels before the common ones. */
  const page = async (kind: string): Promise<Map<string, number>> => {
    const text = await scrape(registry);
    parsePage(text);
    const prefix = `outbound_${kind}_balancer_`;
    const found = new Map<string, number>();
    for (const line of text.split("\n")) {
      if (!line.startsWith(prefix)) continue;
      assert.ok(line.includes(LABELS), line);
      const [series = "", value] = line.slice(prefix.length).replace(LABELS, "").split(" ");
      found.set(series.replace("{}", "").replace(",}", "}"), Number(value));
    }
    return found;
  };
  return { clock, families, balancerMetrics, page };
}

class FakeEndpoint extends ScriptedService {
  ready = false;
  readonly changed: () => void;

  constructor(changed: () => void) {
    super();
    this.changed = changed;
  }
  become(ready: boolean): void {
    this.ready = ready;
    this.changed();
  }
  load(): number {
    return 1;
  }
  close(): void {}
}

function httpBalancer({ clock, balancerMetrics }: ReturnType<typeof setUp>) {
  const endpoints: FakeEndpoint[] = [];
  const balancer = new HttpBalancer({
    clock,
    random: () => 0,
    queueCapacity: 10,
    failfastTimeoutMs: FAILFAST_MS,
    name: "backend Service.shop.web:80",
    makeEndpoint: (_, changed) => {
      const endpoint = new FakeEndpoint(changed);
      endpoints.push(endpoint);
      return endpoint;
    },
    metrics: balancerMetrics.forBalancer("http", PARENT, WEB, FAILFAST_MS),
    onClose: () => {},
  });
  const ask = (): RecordingSink => {
    const sink = new RecordingSink();
    balancer.call(requestHead("GET", "/"), true, sink);
    return sink;
  };
  return { balancer, endpoints, ask };
}

const AT = (...texts: string[]) => texts.map((text) => ({ addr: addr(text), metadata: NO_METADATA }));

test("config-admin-metrics 7.4: a balancer shows its endpoints, its updates and its queue", async () => {
  const made = setUp();
  const { balancer, endpoints, ask } = httpBalancer(made);
  balancer.update({ kind: "reset", endpoints: AT("192.0.2.1:80") });
  balancer.update({ kind: "add", endpoints: AT("192.0.2.2:80", "192.0.2.3:80") });
  balancer.update({ kind: "remove", addrs: [addr("192.0.2.3:80")] });
  ask();
  made.clock.advance(20);
  let page = await made.page("http");
  const zeros = ["queue_latency_seconds_sum", "queue_latency_seconds_count", "queue_gate_shut_total"];
  for (const sample of zeros) assert.equal(page.get(sample), 0, sample);
  assert.equal(page.get('endpoints{endpoint_state="ready"}'), 0);
  assert.equal(page.get('endpoints{endpoint_state="pending"}'), 2);
  assert.equal(page.get("p2c_endpoints"), 2);
  for (const op of ["Reset", "Add", "Remove"]) assert.equal(page.get(`p2c_updates_total{op="${op}"}`), 1);
  assert.equal(page.get("queue_length"), 1);
  assert.equal(page.get("queue_requests_total"), 1);
  assert.equal(page.get("queue_gate_open_total"), 1);
  assert.equal(page.get("queue_gate_timeout_seconds"), 3);

  endpoints[0]?.become(true);
  for (let i = 0; i < 3; i++) ask();
  page = await made.page("http");
  assert.equal(page.get('endpoints{endpoint_state="ready"}'), 1);
  assert.equal(page.get("queue_length"), 0);
  assert.equal(page.get("queue_requests_total"), 4);
  // One waited for 20 ms, three passed.
  assert.equal(page.get('queue_latency_seconds_bucket{le="0.0005"}'), 3);
  assert.equal(page.get('queue_latency_seconds_bucket{le="0.05"}'), 4);
  assert.equal(page.get("queue_latency_seconds_sum"), 0.02);
  // A second page counts nobody twice.
  assert.deepEqual(await made.page("http"), page);
});

test("config-admin-metrics 7.4: the gate shuts with failfast and opens again, and shows when", async () => {
  const made = setUp();
  const { balancer, endpoints, ask } = httpBalancer(made);
  balancer.update({ kind: "add", endpoints: AT("192.0.2.1:80") });
  const gate = async (): Promise<(number | boolean | undefined)[]> => {
    const page = await made.page("http");
    const isSet = (sample: string): boolean => {
      const seconds = page.get(sample) ?? 0;
      assert.ok(seconds === 0 || Math.abs(seconds - Date.now() / 1_000) < 60, "Unix seconds");
      return seconds > 0;
    };
    return [
      page.get("queue_gate_open_total"),
      page.get("queue_gate_shut_total"),
      isSet("queue_gate_open_time_seconds"),
      isSet("queue_gate_shut_time_seconds"),
    ];
  };
  const waiting = ask();
  made.clock.advance(FAILFAST_MS);
  assert.deepEqual(waiting.events, ["reset failfast"]);
  assert.deepEqual(await gate(), [1, 1, false, true]);
  endpoints[0]?.become(true);
  assert.deepEqual(await gate(), [2, 1, true, false]);
});

test("balancers of one backend share their series, and leave it when they close", async () => {
  const made = setUp();
  const [one, two] = [httpBalancer(made), httpBalancer(made)];
  for (const { balancer, endpoints, ask } of [one, two]) {
    balancer.update({ kind: "add", endpoints: AT("192.0.2.1:80", "192.0.2.2:80") });
    for (const endpoint of endpoints) endpoint.become(true);
    ask();
  }
  const seen = async (...samples: string[]): Promise<(number | undefined)[]> => {
    const page = await made.page("http");
    return samples.map((sample) => page.get(sample));
  };
  const some = ["p2c_endpoints", 'endpoints{endpoint_state="ready"}', "queue_requests_total"];
  assert.deepEqual(await seen(...some), [4, 4, 2]);
  one.ask();
  one.balancer.close();
  assert.deepEqual(await seen(...some), [2, 2, 3]);
  two.balancer.close();
  assert.deepEqual(await seen(...some), [0, 0, 3]);
  made.clock.advance(600_001);
  // Shown once more, and then dropped.
  await made.page("http");
  assert.equal((await made.page("http")).size, 0);
});

test("opaque and TLS backends have sets of their own; a single endpoint is nothing that is balanced", async () => {
  const made = setUp();
  const control = new ScriptedControlPlane();
  const context = {
    ...scriptedContext(made.clock, control),
    ...made,
    queueCapacity: 2,
    failfastTimeoutMs: FAILFAST_MS,
  };
  const path = name("web.shop.svc.cluster.local:80");
  const balanced: Backend = { meta: WEB, dispatcher: { kind: "balance", path, load: DEFAULT_LOAD } };
  const [single] = AT("192.0.2.1:80");
  assert.ok(single);
  const forwarded: Backend = { meta: WEB, dispatcher: { kind: "forward", endpoint: single } };
  const route = (backend: Backend) => ({
    meta: metaDefault("route"),
    filters: [],
    distribution: { kind: "first_available", backends: [{ backend, filters: [] }] } as const,
  });
  const opaque = (backend: Backend): ClientPolicy => ({
    parent: PARENT,
    protocol: { kind: "opaque", opaque: route(backend) },
  });
  const logical = { kind: "name", name: path } as const;
  const alone = new OpaqueStack(logical, new WatchCell(opaque(forwarded)), context);
  assert.equal((await made.page("tcp")).size, 0);
  alone.close();

  const bytes = new OpaqueStack(logical, new WatchCell(opaque(balanced)), context);
  const tls = new TlsStack(
    "web",
    new WatchCell<ClientPolicy>({
      parent: PARENT,
      protocol: { kind: "tls", routes: [{ ...route(balanced), snis: [] }] },
    }),
    context,
  );
  const [forBytes] = control.resolutions;
  forBytes?.listener.update({ kind: "reset", endpoints: AT("192.0.2.1:80") });
  const gaveUp = new AbortController();
  const dial = bytes.route().route.connect(gaveUp.signal);
  gaveUp.abort(new ProxyError("canceled", "gave up"));
  await assert.rejects(dial);
  let page = await made.page("tcp");
  assert.deepEqual(
    [
      "p2c_endpoints",
      'p2c_updates_total{op="Reset"}',
      "queue_requests_total",
      "queue_latency_seconds_count",
    ].map((sample) => page.get(sample)),
    [1, 1, 1, 1],
  );
  page = await made.page("tls");
  assert.deepEqual(
    ["p2c_endpoints", 'p2c_updates_total{op="Reset"}', "queue_requests_total"].map((sample) =>
      page.get(sample),
    ),
    [0, 0, 0],
  );
  assert.equal((await made.page("http")).size, 0);
  bytes.close();
  tls.close();
  assert.equal((await made.page("tcp")).get("p2c_endpoints"), 0);
});
