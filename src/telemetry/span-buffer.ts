/** Spans of one message. Source: linkerd2-proxy, linkerd/opentelemetry/src/lib.rs. */
export const BATCH_SPANS = 1_000;
/** The same in bytes: collectors take messages of 4 MiB, unless they are told otherwise. */
export const BATCH_BYTES = 3 * 2 ** 20;
/** Spans that may wait for a full batch to leave. Source: linkerd2-proxy, linkerd/app/src/trace_collector.rs. */
export const WAITING_SPANS = 100;

/** Encoded spans on their way to the collector: a batch that is being filled, and a few that wait for the next one. */
export class SpanBuffer {
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #waiting: Uint8Array[] = [];

  get isEmpty(): boolean {
    return this.#batch.length === 0;
  }

  /** Whether the batch should leave, however short a time it has been filled. */
  get hasFullBatch(): boolean {
    return this.#batch.length === BATCH_SPANS || this.#waiting.length > 0;
  }

  /** Whether there is no place for another span. */
  get isFull(): boolean {
    return this.#waiting.length === WAITING_SPANS;
  }

  /** Not to be called when it is full. */
  add(span: Uint8Array): void {
    if (this.#waiting.length > 0 || !this.#fits(span)) this.#waiting.push(span);
    else this.#put(span);
  }

  /** The batch, which is replaced by what waited for it to leave. */
  take(): readonly Uint8Array[] {
    const batch = this.#batch;
    const waiting = this.#waiting;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#waiting = [];
    for (const span of waiting) this.add(span);
    return batch;
  }

  #fits(span: Uint8Array): boolean {
    if (this.#batch.length === 0) return true;
    return this.#batch.length < BATCH_SPANS && this.#batchBytes + span.length <= BATCH_BYTES;
  }

  #put(span: Uint8Array): void {
    this.#batch.push(span);
    this.#batchBytes += span.length;
  }
}
