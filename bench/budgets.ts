import { readFileSync } from "node:fs";
import { type FigureName, FIGURES } from "./figures.ts";
import type { RunReport } from "./report/run-report.ts";

/** What we promise to stay below, as a ratio of ours to a proxy in the same run. Never an absolute time. */
export interface Budget {
  readonly name: string;
  readonly scenario: string;
  readonly against: string;
  readonly figure: FigureName;
  readonly atMost: number;
  /** Part of the short form, which continuous integration runs. */
  readonly short?: boolean;
}

/** @throws Error that names the file, the entry and what is wrong with it. */
export function readBudgets(file: URL): readonly Budget[] {
  const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (!Array.isArray(parsed)) throw new Error(`${file.pathname}: expected a list of budgets`);
  return parsed.map((entry: Partial<Budget>, i) => {
    const { name, scenario, against, figure, atMost, short = false } = entry;
    const wrong = (field: string, expected: string): never => {
      throw new Error(`${file.pathname}: entry ${i + 1}, ${field}: expected ${expected}`);
    };
    if (typeof name !== "string") return wrong("name", "a text");
    if (typeof scenario !== "string") return wrong("scenario", "the name of a scenario");
    if (typeof against !== "string") return wrong("against", "the name of a proxy");
    if (figure === undefined || !(figure in FIGURES)) return wrong("figure", Object.keys(FIGURES).join(", "));
    if (typeof atMost !== "number" || !(atMost > 0)) return wrong("atMost", "a ratio above 0");
    return { name, scenario, against, figure, atMost, short };
  });
}

export interface Verdict {
  readonly budget: Budget;
  /** Undefined if the run did not have both sides of it. */
  readonly ratio: number | undefined;
  readonly kept: boolean | undefined;
}

export function judge(budgets: readonly Budget[], report: RunReport): readonly Verdict[] {
  return budgets.map((budget) => {
    const scenario = report.scenarios.find(({ name }) => name === budget.scenario);
    const way = scenario?.ways.find(({ name }) => name === budget.against);
    const ratio = way?.ratios[budget.figure]?.median;
    return { budget, ratio, kept: ratio === undefined ? undefined : ratio <= budget.atMost };
  });
}

export function verdictRows(verdicts: readonly Verdict[]): readonly Record<string, string>[] {
  return verdicts.map(({ budget, ratio, kept }) => ({
    budget: budget.name,
    figure: `${FIGURES[budget.figure].title}, ours : ${budget.against}`,
    "at most": budget.atMost.toFixed(2),
    found: ratio?.toFixed(2) ?? "-",
    verdict: kept === undefined ? "not measured" : kept ? "kept" : "MISSED",
  }));
}
