/**
 * Counters that tell an attack from bad luck. Each answers one question: has this peer gone too far? What then happens
 * is always the same, GOAWAY with ENHANCE_YOUR_CALM, and done elsewhere.
 *
 * Classes: CVE-2023-44487 (rapid reset), CVE-2025-8671 (made you reset), CVE-2019-9515 and -9518 (SETTINGS, empty frames).
 */
import {
  H2_EMPTY_DATA,
  H2_EMPTY_DATA_IN_A_ROW,
  H2_FRAMES_FORGIVEN_PER_SECOND,
  H2_RESET_SAMPLE_SHARE,
  H2_RESET_SAMPLE_STREAMS,
  H2_RESET_SOON_MS,
  H2_SETTINGS_FRAMES,
  H2_STREAM_ERRORS,
  H2_STREAM_ERRORS_FORGIVEN_PER_SECOND,
} from "../limits.ts";

/** A count that leaks: `limit` at once are fine, and so is any number at the rate at which it leaks. */
export class LeakyCount {
  readonly #limit: number;
  readonly #leakPerMs: number;
  #level = 0;
  #atMs = 0;

  constructor(limit: number, leakPerSecond: number) {
    this.#limit = limit;
    this.#leakPerMs = leakPerSecond / 1000;
  }

  /** Counts one; false once there were too many. */
  add(nowMs: number): boolean {
    this.#level = Math.max(0, this.#level - (nowMs - this.#atMs) * this.#leakPerMs) + 1;
    this.#atMs = nowMs;
    return this.#level <= this.#limit;
  }
}

/** Which of the last streams were reset by the peer, unanswered and soon after opening (LIM-15). */
export class ResetSample {
  /** One flag per stream of the sample, made with the first reset. */
  #soon: Uint8Array | undefined;
  #count = 0;
  #opened = 0;

  /** Notes a new stream and returns its number in the sample. */
  open(): number {
    const number = this.#opened++;
    const soon = this.#soon;
    if (soon !== undefined) {
      const slot = number % H2_RESET_SAMPLE_STREAMS;
      this.#count -= soon[slot] ?? 0;
      soon[slot] = 0;
    }
    return number;
  }

  /** Notes that the peer reset an unanswered stream; false once more than the allowed share of the sample was. */
  reset(number: number, openedAtMs: number, nowMs: number): boolean {
    if (nowMs - openedAtMs > H2_RESET_SOON_MS || this.#opened - number > H2_RESET_SAMPLE_STREAMS) return true;
    this.#soon ??= new Uint8Array(H2_RESET_SAMPLE_STREAMS);
    const slot = number % H2_RESET_SAMPLE_STREAMS;
    if (this.#soon[slot] === 0) {
      this.#soon[slot] = 1;
      this.#count++;
    }
    return this.#count <= H2_RESET_SAMPLE_STREAMS * H2_RESET_SAMPLE_SHARE;
  }
}

/**
 * Streams that one read of the connection both opened and reset: a server that takes requests in turn would not even have
 * begun with them. Only where an operator bounds them (`MAX_PENDING_ACCEPT_RESET_STREAMS`); what is above a read is LIM-15.
 */
export class PendingResets {
  readonly #max: number;
  #atMs = 0;
  #count = 0;

  constructor(max: number) {
    this.#max = Math.min(max, H2_RESET_SAMPLE_STREAMS * H2_RESET_SAMPLE_SHARE);
  }

  /** Notes that the peer reset an unanswered stream; both instants are those of reads. False once there were too many. */
  reset(openedAtMs: number, nowMs: number): boolean {
    if (openedAtMs !== nowMs) return true;
    if (this.#atMs !== nowMs) this.#count = 0;
    this.#atMs = nowMs;
    return ++this.#count <= this.#max;
  }
}

/** All counters of one connection. */
export class AbuseCounts {
  readonly resets = new ResetSample();
  readonly #streamErrors = new LeakyCount(H2_STREAM_ERRORS, H2_STREAM_ERRORS_FORGIVEN_PER_SECOND);
  readonly #settings = new LeakyCount(H2_SETTINGS_FRAMES, H2_FRAMES_FORGIVEN_PER_SECOND);
  readonly #emptyData = new LeakyCount(H2_EMPTY_DATA, H2_FRAMES_FORGIVEN_PER_SECOND);
  #emptyInARow = 0;

  /** The peer made us raise a stream error. */
  streamError(nowMs: number): boolean {
    return this.#streamErrors.add(nowMs);
  }

  settings(nowMs: number): boolean {
    return this.#settings.add(nowMs);
  }

  /** A DATA frame without content that ends nothing. */
  emptyData(nowMs: number): boolean {
    return this.#emptyData.add(nowMs) && ++this.#emptyInARow <= H2_EMPTY_DATA_IN_A_ROW;
  }

  /** A DATA frame with content. */
  fullData(): void {
    this.#emptyInARow = 0;
  }
}
