/** How ways are compared: ours to another's. */
import { DIRECT, type FigureName, OURS, type Round } from "./figures.ts";

/** A ratio of these says nothing. */
const WITHOUT_RATIO: readonly FigureName[] = ["errors", "loadBusy", "driftMiBPerHour"];

/** Ours to that of a way, round by round. None for what is not compared. */
export function ratiosOf(
  way: string,
  figure: FigureName,
  ours: readonly Round[],
  theirs: readonly Round[],
): readonly number[] {
  if (way === OURS || way === DIRECT || WITHOUT_RATIO.includes(figure)) return [];
  return ours
    .map((round, i) => (round.figures[figure] ?? NaN) / (theirs[i]?.figures[figure] ?? NaN))
    .filter(Number.isFinite);
}
