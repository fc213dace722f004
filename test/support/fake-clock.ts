import type { Clock, Timer } from "../../src/time/clock.ts";

interface Pending {
  readonly atMs: number;
  readonly f: () => void;
}

/** A clock that moves when told to. Timers run inside `advance`, in the order in which they are due. */
export class FakeClock implements Clock {
  #nowMs: number;
  readonly #pending = new Set<Pending>();

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, f: () => void): Timer {
    const pending = { atMs: this.#nowMs + delayMs, f };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Timers that have neither fired nor been cancelled: a test ends with none. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Moves on, running what is due on the way; timers see the time for which they were set. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (let next = this.#earliest(end); next !== undefined; next = this.#earliest(end)) {
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.f();
    }
    this.#nowMs = end;
  }

  #earliest(endMs: number): Pending | undefined {
    let earliest: Pending | undefined;
    for (const pending of this.#pending) {
      if (pending.atMs <= endMs && (earliest === undefined || pending.atMs < earliest.atMs))
        earliest = pending;
    }
    return earliest;
  }
}
