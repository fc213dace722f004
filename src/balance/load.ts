/** Why a response makes its endpoint look more costly than its latency does. */
export interface FailureHint {
  readonly kind: "internal" | "rate_limited" | "unavailable";
  /** What the server asked us to wait, if it did. */
  readonly retryAfterMs: number | undefined;
}

/**
 * How loaded an endpoint is. Costs are comparable only between endpoints that are measured alike.
 *
 * Each `begin` is followed by exactly one `end`.
 */
export interface Load {
  /** The cost of one more request. */
  load(nowMs: number): number;
  /** A request was sent. */
  begin(): void;
  /**
   * A request is over as far as load is concerned: its response began to arrive, or it failed or was given up.
   *
   * @param hint what the response head says about the endpoint's health.
   */
  end(startedAtMs: number, nowMs: number, hint: FailureHint | undefined): void;
  /** Requests between `begin` and `end`. */
  readonly pending: number;
}

/** What load-aware choosing needs of a thing. */
export interface Loaded {
  load(nowMs: number): number;
}
