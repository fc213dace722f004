/** Chance that a test decides: the given numbers in turn; running out of them is an error of the test. */
export function scripted(...numbers: readonly number[]): () => number {
  let next = 0;
  return () => {
    const number = numbers[next++];
    if (number === undefined)
      throw new Error(`chance was asked ${next} times, ${numbers.length} answers were given`);
    return number;
  };
}

/** Reproducible chance: uniform in [0, 1), the same sequence for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
