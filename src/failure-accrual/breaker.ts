import type { Backoff } from "../time/backoff.ts";
import type { AccrualRule, Outcome, TripReason } from "./accrual-rule.ts";

/**
 * - `open`: requests pass, their outcomes are counted.
 * - `shut`: none passes; outcomes of those still under way mean nothing. Ends with `probe()`, after the pause.
 * - `probation`: one request passes. The next outcome decides, usually its own.
 */
export type BreakerState = "open" | "shut" | "probation";

/** What an outcome brought about. */
export type BreakerChange =
  | { readonly kind: "tripped"; readonly reason: TripReason; readonly pauseMs: number }
  /** The trial failed: shut for longer. */
  | { readonly kind: "shut_again"; readonly pauseMs: number }
  | { readonly kind: "reopened" };

/** What a request holds that passed: the number of its probation, 0 for one that passed an open breaker. */
export type Permit = number;

/**
 * The circuit breaker of one endpoint: shut by its rule, and opened again by a request that succeeds.
 *
 *   open --(rule)--> shut --(pause)--> probation --(success)--> open
 *                     ^                    |
 *                     +-----(failure)------+   each time with a longer pause
 *
 * Pauses start anew with each trip from open. There is no active probing: without traffic an endpoint stays in probation.
 *
 * Whoever owns it waits for the pause of `tripped` and `shut_again` and then calls `probe`.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/breaker/{consecutive_failures,unified}.rs. There, a trial request
 * that is given up before its answer leaves the endpoint shut for good; here its place is free again.
 */
export class Breaker {
  readonly #rule: AccrualRule;
  readonly #backoff: Backoff;
  #state: BreakerState = "open";
  #probation = 0;
  #isTrialFree = false;

  constructor(rule: AccrualRule, backoff: Backoff) {
    this.#rule = rule;
    this.#backoff = backoff;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether a request may pass now. */
  get admits(): boolean {
    return this.#state === "open" || (this.#state === "probation" && this.#isTrialFree);
  }

  /** A request passes. Its end is told by one of `record` and `abandon`. */
  begin(): Permit {
    if (this.#state !== "probation") return 0;
    this.#isTrialFree = false;
    return this.#probation;
  }

  /** A request is over. @returns what changed, undefined if nothing did. */
  record(outcome: Outcome, nowMs: number): BreakerChange | undefined {
    switch (this.#state) {
      case "open":
        return this.#count(outcome, nowMs);
      case "probation":
        return this.#judge(outcome, nowMs);
      case "shut":
        return undefined;
      default:
        return this.#state satisfies never;
    }
  }

  /** A request was given up before it was answered, which says nothing. @returns whether another may now pass instead. */
  abandon(permit: Permit): boolean {
    if (this.#state !== "probation" || permit !== this.#probation) return false;
    this.#isTrialFree = true;
    return true;
  }

  /** The pause is over: one request may pass. */
  probe(): void {
    if (this.#state !== "shut") return;
    this.#state = "probation";
    this.#probation++;
    this.#isTrialFree = true;
  }

  #count(outcome: Outcome, nowMs: number): BreakerChange | undefined {
    const reason = this.#rule.record(outcome, nowMs);
    if (reason === undefined) return undefined;
    this.#backoff.reset();
    this.#state = "shut";
    return { kind: "tripped", reason, pauseMs: this.#backoff.next() };
  }

  #judge(outcome: Outcome, nowMs: number): BreakerChange {
    if (!this.#rule.isRecovery(outcome)) {
      this.#state = "shut";
      return { kind: "shut_again", pauseMs: this.#backoff.next() };
    }
    this.#state = "open";
    this.#rule.reset(nowMs);
    return { kind: "reopened" };
  }
}
