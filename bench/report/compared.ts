/** What of a run was compared with something. */
import { isMeasured } from "./format.ts";
import type { RunReport, ScenarioReport } from "./run-report.ts";

/** Those in which another way has a ratio of what the scenario is about. */
export function comparedScenarios({ scenarios }: RunReport): readonly ScenarioReport[] {
  return scenarios.filter(({ subject, ways }) => ways.some((way) => isMeasured(way.ratios[subject])));
}

/** Everyone we were compared with, in the order in which they appear. */
export function peersOf(report: RunReport): readonly string[] {
  const names = comparedScenarios(report).flatMap(({ subject, ways }) =>
    ways.filter((way) => isMeasured(way.ratios[subject])).map(({ name }) => name),
  );
  return [...new Set(names)];
}
