/** A timer that can be taken back. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as waiting code sees it. Instants are monotonic milliseconds, comparable only with each other.
 *
 * Tests use a clock of their own that moves when told to.
 */
export interface Clock {
  nowMs(): number;
  /** Runs `f` once after `delayMs`. Does not keep the process alive. Delays above 2^31-1 ms are waited in full. */
  after(delayMs: number, f: () => void): Timer;
}

/** Node's timers count in 32 bits: a longer delay would fire at once (faults-and-threats ND-11). */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  #timeout: NodeJS.Timeout | undefined;
  readonly #f: () => void;

  constructor(delayMs: number, f: () => void) {
    this.#f = f;
    this.#arm(delayMs);
  }

  #arm(delayMs: number): void {
    const slice = Math.min(delayMs, LONGEST_TIMER_MS);
    this.#timeout = setTimeout(() => {
      if (delayMs > slice) this.#arm(delayMs - slice);
      else this.#f();
    }, slice);
    this.#timeout.unref();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

/** The instant that holds until the read under way is done; 0 outside of reads. */
let readingAtMs = 0;

/**
 * Runs what follows from one read as if it took no time: a request asks for the time of day half a dozen times, and the
 * kernel's answer costs more than everything done with it (bench: pair-http2, 2 % of the CPU).
 */
export function beginRead(): void {
  readingAtMs = performance.now();
}

/** Time goes on. */
export function endRead(): void {
  readingAtMs = 0;
}

export const systemClock: Clock = {
  nowMs: () => (readingAtMs === 0 ? performance.now() : readingAtMs),
  after: (delayMs, f) => new SystemTimer(delayMs, f),
};

/** Wall time in milliseconds since 1970: for certificates, log lines and dates, never for measuring. */
export function wallMs(): number {
  return Date.now();
}

/** Monotonic nanoseconds that go on within a read: for what is measured inside of one, never for waiting. */
export function stopwatchNs(): number {
  return Math.round(performance.now() * 1e6);
}

/** Resolves after `delayMs`, or rejects with the signal's reason if that aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // The reason is whatever the aborter chose, by the platform's convention an Error.
    const fail = (): void => reject(signal?.reason as Error);
    if (signal?.aborted) return fail();
    const onAbort = (): void => {
      timer.cancel();
      fail();
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
