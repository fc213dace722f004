import assert from "node:assert/strict";
import { connect } from "node:net";
import { afterEach, describe, it } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { parseAddr } from "../../src/addr/name-addr.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { ControlClient } from "../../src/control/control-client.ts";
import type { RequestSpan } from "../../src/http/request-span.ts";
import { ExportTraceServiceResponseSchema } from "../../src/proto/gen/otlp_trace_service_pb.js";
import { BATCH_SPANS, WAITING_SPANS } from "../../src/telemetry/span-buffer.ts";
import {
  BATCH_INTERVAL_MS,
  BATCH_PATIENCE_MS,
  EXPORT_TIMEOUT_MS,
  SpanExporter,
} from "../../src/telemetry/span-exporter.ts";
import { systemClock, type Clock } from "../../src/time/clock.ts";
import { ListeningLog } from "../control/listening-log.ts";
import { portOf, until } from "../socket/pair.ts";
import { TestCa } from "../support/certs.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { certifiedStore, unwrap } from "../tls/mesh-peer.ts";
import { Collector } from "./collector.ts";

const NAME = "collector.observability.serviceaccount.identity.linkerd.cluster.local";
const BACKOFF = { minMs: 5, maxMs: 10, jitter: 0 };
const UNIX_MS = 1_700_000_000_000;

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
});

async function collector(): Promise<Collector> {
  const started = await new Collector().start();
  cleanups.push(() => started.kill());
  return started;
}

/** The clock of the exporter moves as a test says; connections are made in real time. */
function exporterTo(
  port: number,
  tls?: ConstructorParameters<typeof ControlClient>[0]["tls"],
  clock: Clock = new FakeClock(50),
) {
  const log = new ListeningLog();
  const counter = () => ({ value: 0 });
  const counters = {
    streams: counter(),
    requests: counter(),
    exported: counter(),
    dropped: { full: counter(), refused: counter(), unreachable: counter() },
  };
  const address = tls === undefined ? `127.0.0.1:${port}` : "collector.observability.svc.cluster.local:4317";
  const client = new ControlClient({
    service: "trace_collector",
    role: { name: "trace collector", whileAway: "" },
    address: unwrap(parseAddr(address)),
    tls,
    connectTimeoutMs: 500,
    backoff: BACKOFF,
    clock: systemClock,
    log,
    resolve: () => Promise.resolve([unwrap(parseSocketAddr(`127.0.0.1:${port}`))]),
  });
  const exporter = new SpanExporter({
    client,
    resource: new Map<string, string | number>([
      ["process.pid", 7],
      ["service.name", "web"],
    ]),
    counters,
    backoff: BACKOFF,
    clock,
    wallMs: () => UNIX_MS + clock.nowMs(),
    random: () => 0,
    log,
  });
  cleanups.push(() => void exporter.close(0));
  return { exporter, counters, log };
}

function span(name = "/"): RequestSpan {
  return {
    kind: "server",
    name,
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId: "1122334455667788",
    parentId: "00f067aa0ba902b7",
    startedAtMs: 10,
    endedAtMs: 12.5,
    attributes: [["url.path", name]],
  };
}

function report(exporter: SpanExporter, count: number): void {
  for (let i = 0; i < count; i++) exporter.report(span(`/${i}`));
}

describe("a span exporter", () => {
  it("inbound 10: tells a span ten seconds after it came, in OTLP", async () => {
    const server = await collector();
    const clock = new FakeClock(50);
    const { exporter, counters } = exporterTo(server.port, undefined, clock);
    exporter.report(span("/cart"));
    exporter.report({ ...span("/out"), kind: "client", parentId: "0".repeat(16) });
    clock.advance(BATCH_INTERVAL_MS - 1);
    assert.equal(clock.timers, 1);
    clock.advance(1);
    await until("spans came", () => server.spans.length === 2);
    assert.deepEqual(server.spans[0], {
      name: "/cart",
      kind: 2,
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      spanId: "1122334455667788",
      parentId: "00f067aa0ba902b7",
      startNs: BigInt(UNIX_MS + 10) * 1_000_000n,
      endNs: BigInt(UNIX_MS + 12) * 1_000_000n + 500_000n,
      flags: 0x300,
      attributes: { "url.path": "/cart" },
      resource: { "process.pid": 7n, "service.name": "web" },
    });
    assert.deepEqual([server.spans[1]?.kind, server.spans[1]?.parentId], [3, ""]);
    await until("it is counted", () => counters.exported.value === 2);
    assert.deepEqual([counters.streams.value, counters.requests.value], [1, 1]);
    assert.deepEqual(server.batches, [2]);
  });

  it("inbound 10: tells a thousand spans at once", async () => {
    const server = await collector();
    const { exporter } = exporterTo(server.port);
    report(exporter, BATCH_SPANS);
    await until("spans came", () => server.spans.length === BATCH_SPANS);
    assert.deepEqual(server.batches, [BATCH_SPANS]);
  });

  it("inbound 10: drops what comes while a collector is slow, beyond a bound, and says so", async () => {
    const server = await collector();
    const held: (() => void)[] = [];
    server.answer = (reply) => void held.push(() => reply(null, create(ExportTraceServiceResponseSchema)));
    const clock = new FakeClock(50);
    const { exporter, counters, log } = exporterTo(server.port, undefined, clock);
    const dropped = log.hears("Span dropped");
    report(exporter, BATCH_SPANS);
    await until("the first batch is under way", () => held.length === 1);
    report(exporter, 3 * BATCH_SPANS);
    assert.equal(counters.dropped.full.value, 2 * BATCH_SPANS - WAITING_SPANS);
    assert.equal((await dropped)["reason"], "full");
    server.answer = undefined;
    held[0]?.();
    await until("the second batch came", () => counters.exported.value === 2 * BATCH_SPANS);
    await until("the third fills", () => clock.timers === 1);
    clock.advance(BATCH_INTERVAL_MS);
    await until("and those that waited", () => server.spans.length === BATCH_SPANS + WAITING_SPANS);
  });

  it("inbound 10: keeps a batch for a collector that is away, and goes on when it is back", async () => {
    const server = await collector();
    const { exporter, counters, log } = exporterTo(server.port, undefined, systemClock);
    const away = log.hears("trace collector is unreachable");
    server.kill();
    report(exporter, BATCH_SPANS);
    assert.equal((await away)["service"], "trace_collector");
    await until("it tried more than once", () => counters.streams.value > 2);
    assert.equal(counters.requests.value, 0);
    await server.start();
    await until("spans came", () => server.spans.length === BATCH_SPANS);
    await until("they are counted", () => counters.exported.value === BATCH_SPANS);
    server.kill();
    await server.start();
    report(exporter, BATCH_SPANS);
    await until("spans came again", () => server.spans.length === 2 * BATCH_SPANS);
    assert.equal(counters.dropped.unreachable.value, 0);
  });

  it("asks a collector that does not answer again, and at last gives the batch up", async () => {
    const server = await collector();
    server.answer = () => {};
    const clock = new FakeClock(50);
    const { exporter, counters } = exporterTo(server.port, undefined, clock);
    report(exporter, BATCH_SPANS);
    await until("it was asked", () => server.asked === 1);
    clock.advance(EXPORT_TIMEOUT_MS);
    await until("it pauses", () => clock.timers > 0);
    clock.advance(BACKOFF.maxMs);
    await until("it was asked again", () => server.asked === 2);
    clock.advance(BATCH_PATIENCE_MS);
    await until("they are dropped", () => counters.dropped.unreachable.value === BATCH_SPANS);
    assert.equal(counters.exported.value, 0);
  });

  it("does not repeat what a collector refuses, and counts what it takes of a part", async () => {
    const server = await collector();
    const { exporter, counters } = exporterTo(server.port);
    server.answer = (reply) => reply({ code: status.INVALID_ARGUMENT, details: "no" });
    report(exporter, BATCH_SPANS);
    await until("they are dropped", () => counters.dropped.refused.value === BATCH_SPANS);
    assert.equal(server.asked, 1);
    const partialSuccess = { rejectedSpans: 10n, errorMessage: "too old" };
    server.answer = (reply) => reply(null, create(ExportTraceServiceResponseSchema, { partialSuccess }));
    report(exporter, BATCH_SPANS);
    await until("a part is taken", () => counters.exported.value === BATCH_SPANS - 10);
    assert.equal(counters.dropped.refused.value, BATCH_SPANS + 10);
    assert.equal(counters.requests.value, 2);
  });

  it("tells what is left when it is closed, and nothing after that", async () => {
    const server = await collector();
    const { exporter, counters } = exporterTo(server.port, undefined, systemClock);
    report(exporter, 3);
    await exporter.close(5_000);
    assert.equal(server.spans.length, 3);
    exporter.report(span());
    assert.equal(counters.dropped.unreachable.value, 1);
  });

  it("does not hold up the end for a collector that is away or silent", async () => {
    const server = await collector();
    const silent = exporterTo(server.port, undefined, systemClock);
    server.answer = () => {};
    report(silent.exporter, 3);
    const startedAt = performance.now();
    await silent.exporter.close(50);
    server.kill();
    const away = exporterTo(server.port, undefined, systemClock);
    report(away.exporter, BATCH_SPANS + 3);
    await until("it failed once", () => away.counters.streams.value > 1);
    await away.exporter.close(60_000);
    assert.equal(away.counters.dropped.unreachable.value, BATCH_SPANS);
    assert.ok(performance.now() - startedAt < 5_000);
  });
});

describe("a collector off loopback", () => {
  const ca = TestCa.create();

  /** Mesh TLS as `id` in front of a collector. */
  async function secured(server: Collector, id: string): Promise<number> {
    const leaf = ca.issue({ id });
    const options = { key: leaf.keyPem, cert: leaf.chainPem, ca: ca.certPem, requestCert: true };
    const front = createTlsServer(options, (socket) => {
      const inner = connect(server.port, "127.0.0.1");
      cleanups.push(() => [socket, inner].forEach((s) => s.destroy()));
      for (const s of [socket, inner]) s.on("error", () => {});
      socket.pipe(inner).pipe(socket);
    });
    front.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => front.close());
    return portOf(front);
  }
  const tls = { serverName: unwrap(parseDnsName(NAME)), credentials: certifiedStore(ca).credentials };

  it("inbound 10: is spoken to over mutual TLS, under the name that it was given", async () => {
    const server = await collector();
    const { exporter } = exporterTo(await secured(server, NAME), tls, systemClock);
    report(exporter, 3);
    await exporter.close(5_000);
    assert.equal(server.spans.length, 3);
  });

  it("inbound 10: is told nothing if it is somebody else, or speaks in the clear", async () => {
    const server = await collector();
    const other = await secured(server, "evil.shop.serviceaccount.identity.linkerd.cluster.local");
    for (const port of [other, server.port]) {
      const { exporter, counters } = exporterTo(port, tls, systemClock);
      report(exporter, BATCH_SPANS);
      await until("it failed", () => counters.streams.value > 1);
      await exporter.close(0);
    }
    assert.equal(server.asked, 0);
  });
});
