/** Something of a codec that is timed. */
export interface Operation {
  /** `codec: what it does`. */
  readonly name: string;
  /** How many operations one `run` is: several where one is too short to be called through a function. */
  readonly count: number;
  readonly run: () => unknown;
  /** Runs it and throws if the result is wrong: a broken codec must not give a fast number. */
  readonly verify: () => void;
}

/** An operation whose verified result is the very one that is timed. */
export function operation<T>(name: string, run: () => T, check: (result: T) => void, count = 1): Operation {
  return { name, count, run, verify: () => check(run()) };
}
