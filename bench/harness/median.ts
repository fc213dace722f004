/** The middle value; of an even count the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = inOrder(values);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] ?? NaN;
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** Standard deviations on either side of the mean that hold 95 % of a normal distribution. */
const NORMAL_95 = 1.96;

/**
 * Between these two the median of the distribution that the values come from lies, with a confidence of about 95 %: the
 * order statistics whose ranks a fair coin would give (Conover, Practical Nonparametric Statistics, section 3.2). It takes
 * nothing for granted about the distribution. Undefined of fewer than six values, which cannot tell.
 */
export function medianInterval(values: readonly number[]): readonly [number, number] | undefined {
  const { length } = values;
  const outside = (length - NORMAL_95 * Math.sqrt(length)) / 2;
  if (outside < 0.5) return undefined;
  const sorted = inOrder(values);
  const rank = Math.floor(outside);
  return [sorted[rank] ?? NaN, sorted[length - 1 - rank] ?? NaN];
}

/** The mean of the lowest quarter, of one value at least; NaN of none. */
export function quietest(values: readonly number[]): number {
  const lowest = inOrder(values).slice(0, Math.max(1, Math.round(values.length / 4)));
  return lowest.reduce((sum, value) => sum + value, 0) / lowest.length;
}

function inOrder(values: readonly number[]): readonly number[] {
  return [...values].sort((a, b) => a - b);
}
