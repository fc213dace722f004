/** A report with something else in it. */
import type { FigureName, Spread } from "../../../bench/figures.ts";
import type { RunReport } from "../../../bench/report/run-report.ts";

/** The same run without one of its ways, as if that proxy had been absent. */
export function without(report: RunReport, name: string): RunReport {
  const scenarios = report.scenarios.map((scenario) => ({
    ...scenario,
    ways: scenario.ways.filter((way) => way.name !== name),
  }));
  return { ...report, scenarios };
}

/** The same run with another value for one figure of one way. */
export function withFigure(
  report: RunReport,
  { scenario, way, figure, kind }: Place,
  spread: Spread | undefined,
): RunReport {
  const scenarios = report.scenarios.map((one) => {
    if (one.name !== scenario) return one;
    const ways = one.ways.map((each) =>
      each.name === way ? { ...each, [kind]: { ...each[kind], [figure]: spread } } : each,
    );
    return { ...one, ways };
  });
  return { ...report, scenarios };
}

export interface Place {
  readonly scenario: string;
  readonly way: string;
  readonly figure: FigureName;
  readonly kind: "figures" | "ratios";
}
