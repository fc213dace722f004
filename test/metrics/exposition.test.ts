import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Counter } from "prom-client";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { registerProcessMetrics } from "../../src/metrics/process-metrics.ts";
import { systemClock } from "../../src/time/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { parsePage, scrape } from "./page.ts";

describe("the metrics page", () => {
  it("prints legacy families first and newer ones as an OpenMetrics encoder does", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    const families = createFamilies(registry);
    families.requestTotal.cell([
      ["direction", "inbound"],
      ["target_addr", "192.0.2.1:80"],
    ]).value += 3;
    const latency = families.responseLatencyMs.cell([["direction", "inbound"]]);
    latency.observe(0.9);
    latency.observe(12.7);
    latency.observe(60_000);
    families.controlIdentityCertExpirationTimestampSeconds.cell([]).value = 0;
    families.controlIdentityCertRefreshesTotal.cell([["result", "ok"]]).value += 1;
    const detect = families.inboundTcpDetectHttpDurationSeconds.cell([["srv_name", "web"]]);
    detect.observe(0.0005);
    detect.observe(0.25);

    const latencyLines = [
      1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10000, 20000,
      30000, 40000, 50000,
    ]
      .map((le) => `response_latency_ms_bucket{direction="inbound",le="${le}"} ${le < 20 ? 1 : 2}\n`)
      .join("");
    assert.equal(
      await scrape(registry),
      `# HELP request_total Total count of HTTP requests.
# TYPE request_total counter
request_total{direction="inbound",target_addr="192.0.2.1:80"} 3
# HELP response_latency_ms Milliseconds from dispatching a request to the first byte of its response body or its end.
# TYPE response_latency_ms histogram
${latencyLines}response_latency_ms_bucket{direction="inbound",le="+Inf"} 3
response_latency_ms_count{direction="inbound"} 3
response_latency_ms_sum{direction="inbound"} 60012
# HELP control_identity_cert_expiration_timestamp_seconds When the current certificate expires, in Unix seconds.
# TYPE control_identity_cert_expiration_timestamp_seconds gauge
# UNIT control_identity_cert_expiration_timestamp_seconds seconds
control_identity_cert_expiration_timestamp_seconds 0.0
# HELP control_identity_cert_refreshes Certificate refreshes by result.
# TYPE control_identity_cert_refreshes counter
control_identity_cert_refreshes_total{result="ok"} 1
# HELP inbound_tcp_detect_http_duration_seconds Time until the protocol of an inbound connection was known.
# TYPE inbound_tcp_detect_http_duration_seconds histogram
# UNIT inbound_tcp_detect_http_duration_seconds seconds
inbound_tcp_detect_http_duration_seconds_sum{srv_name="web"} 0.2505
inbound_tcp_detect_http_duration_seconds_count{srv_name="web"} 2
inbound_tcp_detect_http_duration_seconds_bucket{le="0.001",srv_name="web"} 1
inbound_tcp_detect_http_duration_seconds_bucket{le="0.1",srv_name="web"} 1
inbound_tcp_detect_http_duration_seconds_bucket{le="+Inf",srv_name="web"} 2
# EOF
`,
    );
  });

  it("prints nothing but its end without series", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    createFamilies(registry);
    assert.equal(await scrape(registry), "# EOF\n");
  });

  it("escapes and cuts label values, and still parses", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    const family = registry.counter("legacy", "evil_total", "Evil");
    family.cell([["v", 'a"b\\c\nd']]).value = 1;
    family.cell([["v", "x".repeat(10_000)]]).value = 2;
    family.cell([["v", "\ud800"]]).value = 3;
    family.cell([["__proto__", "constructor"]]).value = 4;
    const page = parsePage(await scrape(registry));
    assert.deepEqual(
      page.samples.map((s) => [[...s.labels][0], s.value]),
      [
        [["v", 'a"b\\c\nd'], 1],
        [["v", "x".repeat(256)], 2],
        [["v", "\ufffd"], 3],
        [["__proto__", "constructor"], 4],
      ],
    );
  });

  it("prints big counts in digits", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    registry.counter("legacy", "big_total", "Big").cell([]).value = 2 ** 53;
    registry.counter("legacy", "huge_total", "Huge").cell([]).value = 1e22;
    const text = await scrape(registry);
    assert.match(text, /^big_total 9007199254740992$/m);
    assert.match(text, /^huge_total 10000000000000000000000$/m);
  });

  it("shows what other users of prom-client registered", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    createFamilies(registry).requestTotal.cell([["direction", "inbound"]]).value = 1;
    new Counter({
      name: "nodejs_other_total",
      help: "Theirs",
      labelNames: ["a"],
      registers: [registry.prom],
    }).inc({ a: "b" }, 5);
    const page = parsePage(await scrape(registry));
    assert.deepEqual(
      page.samples.map((s) => s.name),
      ["request_total", "nodejs_other_total"],
    );
    assert.throws(() =>
      registry.prom.registerMetric(new Counter({ name: "request_total", help: "x", registers: [] })),
    );
  });

  it("hands its series to prom-client's own consumers", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    const families = createFamilies(registry);
    families.requestTotal.cell([["direction", "inbound"]]).value = 2;
    families.outboundHttpBalancer.queueLatencySeconds.cell([]).observe(4);
    const text = await registry.prom.metrics();
    assert.match(text, /^request_total\{direction="inbound"\} 2$/m);
    assert.match(text, /^outbound_http_balancer_queue_latency_seconds_bucket\{le="\+Inf"\} 1$/m);
  });

  it("leaves the event loop to others while it makes a big page", async () => {
    const registry = new MetricRegistry(systemClock, 600_000);
    const names = Array.from({ length: 6 }, (_, i) => registry.counter("legacy", `big${i}_total`, "Big"));
    for (const family of names)
      for (let i = 0; i < 9_000; i++)
        family.cell([
          ["i", String(i)],
          ["pad", "x".repeat(100)],
        ]).value = i;
    let pieces = 0;
    let longestMs = 0;
    let atMs = performance.now();
    for await (const piece of registry.scrape()) {
      longestMs = Math.max(longestMs, performance.now() - atMs);
      assert.ok(piece.length < 2 ** 20);
      pieces++;
      await new Promise((resolve) => setImmediate(resolve));
      atMs = performance.now();
    }
    assert.ok(pieces > 10, `${pieces} pieces`);
    assert.ok(longestMs < 250, `a piece took ${longestMs} ms`);
  });

  it("reads the process's own numbers at each scrape", async () => {
    const clock = new FakeClock(1_500);
    const registry = new MetricRegistry(clock, 600_000);
    registerProcessMetrics(registry, clock);
    const page = parsePage(await scrape(registry));
    const value = (name: string): number => page.samples.find((s) => s.name === name)?.value ?? NaN;
    assert.ok(Math.abs(value("process_start_time_seconds") - (Date.now() / 1000 - 1.5)) < 5);
    assert.equal(value("process_uptime_seconds_total"), 1.5);
    assert.ok(value("process_cpu_seconds_total") > 0);
    assert.ok(value("process_resident_memory_bytes") > 1e7);
    if (process.platform === "linux") {
      assert.ok(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
      assert.ok(value("process_open_fds") > 2);
      assert.ok(value("process_threads") >= 1);
      assert.ok(value("process_max_fds") >= 0);
    }
  });
});
