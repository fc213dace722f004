/**
 * What an answer of an endpoint counts as. `degraded` is a refusal for overload (429, ResourceExhausted): no failure, but
 * no sign of health either.
 */
export type Outcome = "success" | "degraded" | "failure";

/** Which half of a rule shut a breaker. */
export type TripReason = "consecutive_failures" | "success_rate";

/** When an endpoint that is in use has failed enough. */
export interface AccrualRule {
  /** Counts an outcome. @returns why the endpoint is to be shut, undefined while it is not. */
  record(outcome: Outcome, nowMs: number): TripReason | undefined;
  /** Whether the answer to a trial request brings the endpoint back. */
  isRecovery(outcome: Outcome): boolean;
  /** Forgets everything: the endpoint is in use again. */
  reset(nowMs: number): void;
}
