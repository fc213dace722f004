import { type Budget, judge, type Verdict } from "./budgets.ts";
import type { RunReport } from "./report/run-report.ts";

/**
 * A budget that is missed is measured again, and counts as missed if it is missed every time. With processor time instead
 * of wall time, ratios within a round and medians over rounds, that is what makes the check hold on a small machine that
 * others use as well: a neighbour slows down one round or one run, a slower proxy slows down all of them.
 */
const ATTEMPTS = 3;

/** @param measure runs the scenarios that these budgets name. */
export async function checkBudgets(
  budgets: readonly Budget[],
  measure: (budgets: readonly Budget[]) => Promise<RunReport>,
): Promise<readonly Verdict[]> {
  const verdicts = new Map<Budget, Verdict>();
  let due = budgets;
  for (let attempt = 0; attempt < ATTEMPTS && due.length > 0; attempt++) {
    const report = await measure(due);
    for (const verdict of judge(due, report)) verdicts.set(verdict.budget, verdict);
    due = due.filter((budget) => verdicts.get(budget)?.kept === false);
  }
  return [...verdicts.values()];
}
