import type { RetryBudget } from "./client-policy.ts";

/** Parts of the window that expire one after the other. */
const SLOTS = 10;

const MS_PER_SECOND = 1000;

/** What a result is worth where a single one pays for several retries. */
const FINE_DEPOSIT = 1000;

/**
 * The tokens of a retry budget. Every result that is not to be retried pays in, every retry is paid for; what was paid in
 * or out is forgotten after the budget's time to live. On top of the balance there is a reserve for callers with little
 * traffic.
 *
 * Retries are bounded so by a share of the traffic: while a service fails altogether nothing is paid in, and only the
 * reserve goes on (faults-and-threats OV-09).
 *
 * Source: tower, tower/src/retry/budget/tps_budget.rs.
 */
export class RetryTokens {
  readonly #deposit: number;
  readonly #cost: number;
  readonly #reserve: number;
  readonly #slotMs: number;
  /** Net tokens by slot; the one at `#current` is still being written. */
  readonly #slots = new Float64Array(SLOTS + 1);
  #current = 0;
  #currentSinceMs: number;
  /** Sum of all slots. */
  #balance = 0;

  /** @param budget within the bounds that its conversion checks. */
  constructor({ retryRatio, minRetriesPerSecond, ttlMs }: RetryBudget, nowMs: number) {
    this.#deposit = depositOf(retryRatio);
    this.#cost = costOf(retryRatio);
    this.#reserve = minRetriesPerSecond * Math.floor(ttlMs / MS_PER_SECOND) * this.#cost;
    this.#slotMs = ttlMs / SLOTS;
    this.#currentSinceMs = nowMs;
  }

  /** A result that is not to be retried. */
  deposit(nowMs: number): void {
    this.#expire(nowMs);
    this.#add(this.#deposit);
  }

  /** Pays for one retry, if the balance allows it. */
  withdraw(nowMs: number): boolean {
    this.#expire(nowMs);
    if (this.#balance + this.#reserve < this.#cost) return false;
    this.#add(-this.#cost);
    return true;
  }

  #add(tokens: number): void {
    this.#slots[this.#current] = (this.#slots[this.#current] ?? 0) + tokens;
    this.#balance += tokens;
  }

  #expire(nowMs: number): void {
    const passed = Math.floor((nowMs - this.#currentSinceMs) / this.#slotMs);
    if (passed < 1) return;
    this.#currentSinceMs += passed * this.#slotMs;
    // After a long silence every slot is cleared once; going round again would change nothing.
    for (let i = Math.min(passed, this.#slots.length); i > 0; i--) {
      this.#current = (this.#current + 1) % this.#slots.length;
      this.#slots[this.#current] = 0;
    }
    // Added up anew, so that no rounding error outlives its slot.
    this.#balance = this.#slots.reduce((sum, tokens) => sum + tokens, 0);
  }
}

function depositOf(ratio: number): number {
  if (ratio === 0) return 0;
  return ratio <= 1 ? 1 : FINE_DEPOSIT;
}

/**
 * The ratio travels as a 32-bit float, and 1/0.2 is 5 only when it is reckoned as one: doubles make 4.9999999 of it.
 */
function costOf(ratio: number): number {
  if (ratio === 0) return 1;
  const exact = Math.fround((ratio <= 1 ? 1 : FINE_DEPOSIT) / Math.fround(ratio));
  return Math.min(Math.floor(exact), Number.MAX_SAFE_INTEGER);
}
