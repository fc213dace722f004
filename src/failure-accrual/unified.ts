import type { AccrualRule, Outcome, TripReason } from "./accrual-rule.ts";
import { SuccessRateWindow } from "./success-rate.ts";

export interface UnifiedParams {
  /** 0 turns this half off. */
  readonly maxConsecutiveFailures: number;
  /** Share of successes below which the endpoint is shut, 0 to 1; 0 turns this half off. */
  readonly successRateThreshold: number;
  readonly windowMs: number;
  /** Answers in the window before the rate means anything. */
  readonly minRequests: number;
}

/**
 * Shuts after so many failures in a row, or when too few of the latest answers were successes. Refusals for overload lower
 * the rate and do not bring an endpoint back, but are no failures in a row.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/breaker/unified.rs.
 */
export class UnifiedAccrual implements AccrualRule {
  readonly #params: UnifiedParams;
  /** Undefined where the threshold turns it off. */
  readonly #rate: SuccessRateWindow | undefined;
  #failures = 0;

  constructor(params: UnifiedParams, nowMs: number) {
    this.#params = params;
    this.#rate = params.successRateThreshold > 0 ? new SuccessRateWindow(params.windowMs, nowMs) : undefined;
  }

  record(outcome: Outcome, nowMs: number): TripReason | undefined {
    const { maxConsecutiveFailures, successRateThreshold, minRequests } = this.#params;
    this.#failures = outcome === "failure" ? this.#failures + 1 : 0;
    this.#rate?.record(outcome === "success", nowMs);
    if (maxConsecutiveFailures > 0 && this.#failures >= maxConsecutiveFailures) return "consecutive_failures";
    return this.#rate?.isBelow(successRateThreshold, minRequests) === true ? "success_rate" : undefined;
  }

  isRecovery(outcome: Outcome): boolean {
    return outcome === "success";
  }

  reset(nowMs: number): void {
    this.#failures = 0;
    this.#rate?.reset(nowMs);
  }
}
