/** What a terminal shows of the goals. */
import { NOTHING, number } from "./format.ts";
import type { Goal } from "./goals.ts";

/** In words as well as by colour, wherever a verdict stands. */
export function verdictOf({ met }: Pick<Goal, "met">): "met" | "not met" | "not measured" {
  if (met === undefined) return "not measured";
  return met ? "met" : "not met";
}

/** `0.31 ms`. */
export function measuredText({ measured, digits, unit }: Goal): string {
  return measured === undefined ? NOTHING : `${number(measured, digits)} ${unit}`.trimEnd();
}

/** Rows for `table`. */
export function goalsTable(goals: readonly Goal[]): readonly Readonly<Record<string, string>>[] {
  return goals.map((goal) => ({
    goal: goal.name,
    expected: goal.goal,
    measured: measuredText(goal),
    verdict: verdictOf(goal),
    scenario: goal.scenario,
  }));
}
