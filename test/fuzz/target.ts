/** What a fuzz target works on: pieces of bytes in the order in which they arrive. */
export type Input = readonly Buffer[];

/**
 * Something that takes strangers' bytes, and a judge of what it does with them.
 *
 * `run` throws if a promise was broken: that is a finding. What it returns are the features that the input reached, in
 * words; an input with a new one is kept and mutated further.
 */
export interface FuzzTarget {
  readonly name: string;
  /** Inputs to begin with, some of them right. */
  readonly seeds: (seed: number) => readonly Input[] | Promise<readonly Input[]>;
  readonly run: (input: Input) => readonly string[] | Promise<readonly string[]>;
  /** Words of the protocol, for mutations to put anywhere. */
  readonly dictionary: readonly Buffer[];
  /** Changes an input as a whole, where bytes at random would hardly ever get through. */
  readonly mutate?: (input: Buffer[], random: () => number) => void;
  /** An input may take this long, in milliseconds. */
  readonly slowMs?: number;
}

/** Words of a protocol that is text, for `dictionary`. */
export function words(...texts: readonly string[]): readonly Buffer[] {
  return texts.map((text) => Buffer.from(text, "latin1"));
}
