import type { RequestSpan } from "../http/request-span.ts";
import { Code, type CallStatus } from "../control/stream.ts";
import type { CallResult, ControlClient } from "../control/control-client.ts";
import type { Log } from "../log/log.ts";
import type { Counter } from "../metrics/registry.ts";
import { TraceService } from "../proto/gen/otlp_trace_service_pb.js";
import { Backoff, type BackoffParams } from "../time/backoff.ts";
import { sleep, type Clock, type Timer } from "../time/clock.ts";
import type { ResourceAttributes } from "./attributes.ts";
import { encodeSpan, exportRequest } from "./otlp.ts";
import { SpanBuffer } from "./span-buffer.ts";

/** How long a span may wait for others. Source: linkerd2-proxy, linkerd/opentelemetry/src/lib.rs. */
export const BATCH_INTERVAL_MS = 10_000;
/** How long the collector may take for a batch. Source: opentelemetry.io, specs/otel/protocol/exporter (its default). */
export const EXPORT_TIMEOUT_MS = 10_000;
/** How old a batch may get that no collector takes. Source: OpenTelemetry Collector, `retry_on_failure.max_elapsed_time`. */
export const BATCH_PATIENCE_MS = 300_000;
/** Dropped spans are logged at most this often. */
const DROPPED_LOG_INTERVAL_MS = 10_000;

/** What happened to spans, in numbers. */
export interface SpanCounters {
  /** Times that exporting began, the first and after each failure. */
  readonly streams: Counter;
  /** Messages that a collector was given. */
  readonly requests: Counter;
  /** Spans that a collector took. */
  readonly exported: Counter;
  /** Spans that never will be told, by reason. */
  readonly dropped: Readonly<Record<DropReason, Counter>>;
}
/** There was no place; the collector said no; the collector was away for too long, or we ended first. */
export type DropReason = "full" | "refused" | "unreachable";

export interface SpanExporterOptions {
  readonly client: Pick<ControlClient, "unary" | "close">;
  readonly resource: ResourceAttributes;
  readonly counters: SpanCounters;
  /** Between attempts to get rid of a batch. */
  readonly backoff: BackoffParams;
  readonly clock: Clock;
  /** Wall time in milliseconds. */
  readonly wallMs: () => number;
  readonly random: () => number;
  readonly log: Log;
}

/**
 * Sends spans to a collector in batches: when one is full, or ten seconds after its first span. One batch is under way at
 * a time, and tried again for some minutes where OTLP allows that; meanwhile the next one fills, and after it spans are
 * dropped. Nobody who reports a span ever waits or fails.
 *
 * Spans are encoded as they come: a thousand of them at once would hold up the data path for tens of milliseconds.
 *
 * Source: linkerd2-proxy, linkerd/opentelemetry/src/lib.rs; opentelemetry.io, specs/otlp, "Failures".
 */
export class SpanExporter {
  readonly #options: SpanExporterOptions;
  readonly #buffer = new SpanBuffer();
  readonly #stop = new AbortController();
  readonly #retries: Backoff;
  #wallOffsetMs = 0;
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  /** The collector did not take the last thing it was sent. */
  #failing = false;
  #unlogged = 0;
  #loggedAtMs = -Infinity;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
    this.#retries = new Backoff(options.backoff, options.random);
    options.counters.streams.value++;
  }

  report(span: RequestSpan): void {
    if (this.#stop.signal.aborted) return this.#drop("unreachable", 1);
    if (this.#buffer.isFull) return this.#drop("full", 1);
    const { clock, wallMs } = this.#options;
    // Once a batch: all spans of it are then as far apart as they were.
    if (this.#buffer.isEmpty) this.#wallOffsetMs = wallMs() - clock.nowMs();
    this.#buffer.add(encodeSpan(span, this.#wallOffsetMs));
    if (this.#buffer.hasFullBatch) this.#send();
    else this.#sendLater();
  }

  /**
   * Sends what there is, at most for this long, and ends. A collector that could not be reached last time is not waited
   * for: nobody's exit is to be held up by it.
   */
  async close(withinMs: number): Promise<void> {
    const { clock, client } = this.#options;
    const late = new AbortController();
    const patience = clock.after(withinMs, () => late.abort());
    const over = new Promise<void>((resolve) => late.signal.addEventListener("abort", () => resolve()));
    this.#stop.abort(new Error("closed"));
    if (!late.signal.aborted) await Promise.race([this.#sendAll(), over]);
    patience.cancel();
    this.#timer?.cancel();
    client.close();
  }

  async #sendAll(): Promise<void> {
    // What is under way, the batch that was being filled, and what waited for that one.
    for (let round = 0; round < 3; round++) {
      await this.#sending;
      if (this.#failing) return;
      this.#send();
    }
    await this.#sending;
  }

  #sendLater(): void {
    this.#timer ??= this.#options.clock.after(BATCH_INTERVAL_MS, () => this.#send());
  }

  #send(): void {
    if (this.#sending !== undefined || this.#buffer.isEmpty) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#sending = this.#export(this.#buffer.take()).finally(() => {
      this.#sending = undefined;
      if (this.#stop.signal.aborted) return;
      if (this.#buffer.hasFullBatch) this.#send();
      else if (!this.#buffer.isEmpty) this.#sendLater();
    });
  }

  /** Never rejects. */
  async #export(spans: readonly Uint8Array[]): Promise<void> {
    const { clock, counters, log, resource } = this.#options;
    const request = exportRequest(resource, spans);
    const giveUpAtMs = clock.nowMs() + BATCH_PATIENCE_MS;
    for (;;) {
      const result = await this.#attempt(request);
      this.#failing = !result.ok;
      if (result.ok || !isUnanswered(result.status)) counters.requests.value++;
      if (result.ok) {
        this.#retries.reset();
        const { rejectedSpans = 0n, errorMessage = "" } = result.value.partialSuccess ?? {};
        const rejected = Math.min(Math.max(Number(rejectedSpans), 0), spans.length);
        counters.exported.value += spans.length - rejected;
        if (rejected > 0) this.#drop("refused", rejected);
        if (errorMessage !== "") log.debug("Collector took a part of the spans", { rejected });
        return;
      }
      const { code, message } = result.status;
      log.debug("Export failed", { code, error: message, spans: spans.length });
      if (!isRetryable(code)) return this.#drop("refused", spans.length);
      if (clock.nowMs() >= giveUpAtMs) return this.#drop("unreachable", spans.length);
      try {
        await sleep(clock, this.#retries.next(), this.#stop.signal);
      } catch {
        return this.#drop("unreachable", spans.length);
      }
      counters.streams.value++;
    }
  }

  async #attempt(
    request: ReturnType<typeof exportRequest>,
  ): Promise<CallResult<{ readonly partialSuccess?: PartialSuccess | undefined }>> {
    const { clock, client } = this.#options;
    const abandoned = new AbortController();
    const tooLate = Promise.withResolvers<{ readonly ok: false; readonly status: CallStatus }>();
    const timer = clock.after(EXPORT_TIMEOUT_MS, () => {
      abandoned.abort();
      const message = `no answer within ${EXPORT_TIMEOUT_MS / 1000}s`;
      tooLate.resolve({ ok: false, status: { code: Code.DEADLINE_EXCEEDED, message } });
    });
    try {
      const call = client.unary(TraceService.method.export, request, abandoned.signal);
      return await Promise.race([call, tooLate.promise]);
    } finally {
      timer.cancel();
    }
  }

  #drop(reason: DropReason, spans: number): void {
    const { clock, counters, log } = this.#options;
    counters.dropped[reason].value += spans;
    this.#unlogged += spans;
    const nowMs = clock.nowMs();
    if (nowMs - this.#loggedAtMs < DROPPED_LOG_INTERVAL_MS) return;
    log.info("Span dropped", { reason, spans: this.#unlogged });
    this.#unlogged = 0;
    this.#loggedAtMs = nowMs;
  }
}

interface PartialSuccess {
  readonly rejectedSpans: bigint;
  readonly errorMessage: string;
}

/** Statuses that a call may end with although no collector has seen it. */
function isUnanswered({ code }: CallStatus): boolean {
  return code === Code.UNAVAILABLE || code === Code.CANCELLED || code === Code.DEADLINE_EXCEEDED;
}

/** Source: opentelemetry.io, specs/otlp, "Failures"; without RESOURCE_EXHAUSTED, which may speak of the batch itself. */
const RETRYABLE: ReadonlySet<number> = new Set([
  Code.CANCELLED,
  Code.DEADLINE_EXCEEDED,
  Code.ABORTED,
  Code.OUT_OF_RANGE,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
]);

function isRetryable(code: number): boolean {
  return RETRYABLE.has(code);
}
