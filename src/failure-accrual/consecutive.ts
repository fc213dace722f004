import type { AccrualRule, Outcome, TripReason } from "./accrual-rule.ts";

/**
 * Shuts after so many failures in a row. Refusals for overload are no failures here, not even of a trial request.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/breaker/consecutive_failures.rs.
 */
export class ConsecutiveFailures implements AccrualRule {
  readonly #maxFailures: number;
  #failures = 0;

  /** @param maxFailures 0 never shuts. */
  constructor(maxFailures: number) {
    this.#maxFailures = maxFailures;
  }

  record(outcome: Outcome): TripReason | undefined {
    if (outcome !== "failure") {
      this.#failures = 0;
      return undefined;
    }
    // Compared after counting: a limit of 0 is never met.
    return ++this.#failures === this.#maxFailures ? "consecutive_failures" : undefined;
  }

  isRecovery(outcome: Outcome): boolean {
    return outcome !== "failure";
  }

  reset(): void {
    this.#failures = 0;
  }
}
