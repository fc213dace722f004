/** When more rounds would not tell more. */
import { type FigureName, OURS, type Round } from "./figures.ts";
import { medianInterval } from "./harness/median.ts";
import { ratiosOf } from "./ratios.ts";

/** How many rounds a scenario takes: at least so many, and then until its ratios stand. */
export interface RoundPlan {
  readonly atLeast: number;
  readonly atMost: number;
}

/** The ratios stand when each is known so well, with a confidence of 95 %: two runs then differ by less than a tenth. */
export const SETTLED_WITHIN = 0.05;

/** Six rounds are the fewest of which an interval can be told; a quiet machine needs no more. */
const FEWEST = 6;
export const UNTIL_SETTLED: RoundPlan = { atLeast: FEWEST, atMost: 24 };
/** Of many scenarios at once: all of them take minutes, not an hour. */
export const OVERVIEW: RoundPlan = { atLeast: FEWEST, atMost: 8 };

/** `6`, `6 to 8`: how many rounds there may be. */
export function planText({ atLeast, atMost }: RoundPlan): string {
  return atLeast === atMost ? String(atMost) : `${atLeast} to ${atMost}`;
}

export function exactly(rounds: number): RoundPlan {
  return { atLeast: rounds, atMost: rounds };
}

/** Whether the rounds so far are enough for a scenario that is about `subject`. */
export function isEnough(
  plan: RoundPlan,
  subject: FigureName,
  measured: ReadonlyMap<string, readonly Round[]>,
): boolean {
  const ours = measured.get(OURS) ?? [];
  if (ours.length < plan.atLeast) return false;
  return ours.length >= plan.atMost || isSettled(subject, ours, measured);
}

function isSettled(
  subject: FigureName,
  ours: readonly Round[],
  measured: ReadonlyMap<string, readonly Round[]>,
): boolean {
  return [...measured].every(([way, rounds]) => {
    const ratios = ratiosOf(way, subject, ours, rounds);
    if (ratios.length === 0) return true;
    const interval = medianInterval(ratios);
    if (interval === undefined) return false;
    const [low, high] = interval;
    return (high - low) / (high + low) <= SETTLED_WITHIN;
  });
}
