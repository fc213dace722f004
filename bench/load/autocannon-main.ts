/** The process in which autocannon runs. */
import autocannon from "autocannon";
import { BODY } from "./connection.ts";
import { cpuMicrosOf, cpuMicrosSince } from "./cpu-counters.ts";
import { bytesOfPath } from "./http1.ts";
import { LatencyRecord } from "./latency.ts";
import { serveParent } from "./load-messages.ts";
import type { LoadResult, LoadSpec } from "./load-spec.ts";

/** What autocannon is asked for. */
export interface AutocannonRequest {
  /** On 127.0.0.1, in clear text. */
  readonly port: number;
  /** As `pathOfBytes` makes it: the bodies have to be those of our applications. */
  readonly path: string;
  readonly connections: number;
  readonly seconds: number;
  /** Before, and not counted: autocannon itself has to be compiled. Default: none. */
  readonly warmUpSeconds?: number;
  /** Whose processor time is counted, by name. */
  readonly processes: LoadSpec["processes"];
}

/** It stops with a sample only. */
const SAMPLE_MS = 10;

async function measure(request: AutocannonRequest): Promise<LoadResult> {
  const { port, path, connections, seconds, processes } = request;
  const bodyBytes = bytesOfPath(path);
  const latency = new LatencyRecord();
  let requests = 0;
  let good = 0;
  const cpuBefore = cpuMicrosOf(processes);
  const ownBefore = process.cpuUsage();
  const startedAtMs = performance.now();
  const run = autocannon({
    url: `http://127.0.0.1:${port}${path}`,
    connections,
    duration: seconds,
    sampleInt: SAMPLE_MS,
    expectBody: BODY.toString("latin1", 0, 1).repeat(bodyBytes),
  });
  let status = 0;
  // Its own histogram knows whole milliseconds, in which a proxy is done several times over; its events know fractions.
  run.on("response", (_client, answered, _bytes, milliseconds) => {
    status = answered;
    requests++;
    if (isGood(status)) good++;
    latency.record(milliseconds);
  });
  // Comes right after the response that it is about; an answer that is bad already has the wrong body, too.
  run.on("reqMismatch", () => {
    if (isGood(status)) good--;
  });
  const { errors } = await run;
  const elapsedMs = performance.now() - startedAtMs;
  const own = process.cpuUsage(ownBefore);
  const cpuMicros = cpuMicrosSince(cpuBefore, cpuMicrosOf(processes));
  if (requests === 0) throw new Error(`port ${port} answered nothing: ${errors} errors`);
  return {
    requests,
    // Timeouts are among its errors.
    errors: errors + requests - good,
    seconds: elapsedMs / 1000,
    latency: latency.latency,
    curve: latency.curve,
    windowP99Micros: [],
    bodyBytes: good * bodyBytes,
    backgroundBytes: 0,
    cpuMicros,
    loadBusy: (own.user + own.system) / 1000 / elapsedMs,
  };
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

serveParent(async (message) => {
  const request = message as AutocannonRequest;
  const { warmUpSeconds = 0 } = request;
  if (warmUpSeconds > 0) await measure({ ...request, seconds: warmUpSeconds });
  return measure(request);
});
