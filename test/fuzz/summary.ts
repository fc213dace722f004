/** What the fuzzing thread is told. */
export interface FuzzWork {
  readonly targets: readonly string[];
  readonly seconds: number;
  readonly seed: number;
  /** See `InputBuffer`. */
  readonly shared: SharedArrayBuffer;
}

/** What it tells of a target when it is done. */
export interface FuzzSummary {
  readonly target: string;
  readonly executions: number;
  /** Spent in executions. */
  readonly seconds: number;
  readonly corpus: number;
  readonly features: readonly (readonly [feature: string, inputs: number])[];
}
