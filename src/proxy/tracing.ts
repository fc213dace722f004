import { open } from "node:fs/promises";
import type { Config } from "../config/config.ts";
import { tracePoints, type TracePoints } from "../http/trace-requests.ts";
import type { Log } from "../log/log.ts";
import { resourceAttributes } from "../telemetry/attributes.ts";
import { SpanExporter, type SpanCounters } from "../telemetry/span-exporter.ts";
import { wallMs } from "../time/clock.ts";
import { sideOf, type ControlClients } from "./control.ts";
import type { ProxyShared } from "./shared.ts";

/** Where spans are made, and how it ends. */
export interface ProxyTracing {
  readonly inbound: TracePoints;
  readonly outbound: TracePoints;
  /** Tells the collector what is left to tell; takes at most this long. */
  readonly close: (withinMs: number) => Promise<void>;
}

/** Undefined where no collector is named: requests then pass untouched. */
export async function startTracing(
  config: Config,
  shared: ProxyShared,
  clients: ControlClients,
): Promise<ProxyTracing | undefined> {
  const { clock, random, logging } = shared;
  const counters = spanCounters(shared);
  const { trace } = config;
  if (trace === undefined) return undefined;
  const { collector, hostName, serviceName, attributesPath, extraAttributes, otelAttributes } = trace;
  const log = logging.log.target("linkerd_opentelemetry").span("opentelemetry");
  const exporter = new SpanExporter({
    client: clients("trace_collector", collector, {
      name: "trace collector",
      whileAway: "spans are kept while there is room",
    }),
    resource: resourceAttributes({
      pid: process.pid,
      startedAtSeconds: Math.floor(wallMs() / 1000),
      hostName,
      serviceName,
      file: attributesPath === undefined ? undefined : await readAttributes(attributesPath, log),
      extra: extraAttributes,
      otel: otelAttributes,
    }),
    counters,
    backoff: sideOf(config, collector.addr).connectBackoff,
    clock,
    wallMs,
    random,
    log,
  });
  const tracing = { clock, random, report: exporter.report.bind(exporter) };
  return {
    inbound: tracePoints(tracing, "inbound"),
    outbound: tracePoints(tracing, "outbound"),
    close: (withinMs) => exporter.close(withinMs),
  };
}

/** Shown from the start, whether or not spans are made. */
function spanCounters({ families }: ProxyShared): SpanCounters {
  const none = [] as const;
  const dropped = families.outriggerSpansDroppedTotal;
  const counters: Omit<SpanCounters, "dropped"> = {
    streams: families.opentelemetrySpanExportStreams.cell(none),
    requests: families.opentelemetrySpanExportRequests.cell(none),
    exported: families.opentelemetrySpanExports.cell(none),
  };
  return {
    ...counters,
    dropped: {
      full: dropped.cell([["reason", "full"]]),
      refused: dropped.cell([["reason", "refused"]]),
      unreachable: dropped.cell([["reason", "unreachable"]]),
    },
  };
}

/** Labels of a pod are far fewer; what stands behind a path may be anything. */
const FILE_MAX_BYTES = 65_536;

async function readAttributes(path: string, log: Log): Promise<string | undefined> {
  try {
    await using file = await open(path);
    const buffer = Buffer.alloc(FILE_MAX_BYTES);
    const { bytesRead } = await file.read(buffer, 0, FILE_MAX_BYTES, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    log.warn("Failed to read trace attributes", { path, error: String(error) });
    return undefined;
  }
}
