/** From rounds to the figures that people look at. */
import { DIRECT, type FigureName, FIGURES, LOAD_BUSY_MAX, OURS, type Round, type Spread } from "./figures.ts";
import { median } from "./harness/report.ts";
import type { Rounds } from "./kinds/way.ts";
import type { ScenarioReport, WayReport } from "./report/run-report.ts";
import type { Scenario } from "./suite.ts";

/** Compared by the best rounds of both: what a proxy does while the machine is quiet. */
const TAILS: readonly FigureName[] = ["p99Micros", "p999Micros", "maxMicros"];
/** A ratio of these says nothing. */
const WITHOUT_RATIO: readonly FigureName[] = ["errors", "loadBusy", "driftMiBPerHour"];

const NAMES = Object.keys(FIGURES) as readonly FigureName[];

export function summarise({ name, title, subject }: Scenario, measured: Rounds): ScenarioReport {
  const ours = measured.get(OURS) ?? [];
  const ways = [...measured].map(([way, rounds]): WayReport => ({
    name: way,
    rounds,
    figures: spreads((figure) => rounds.map((round) => round.figures[figure])),
    ratios: way === OURS || way === DIRECT ? {} : spreads((figure) => ratios(figure, ours, rounds)),
  }));
  return { name, title, subject, ways };
}

function spreads(
  valuesOf: (figure: FigureName) => readonly (number | undefined)[],
): Partial<Record<FigureName, Spread>> {
  const result: Partial<Record<FigureName, Spread>> = {};
  for (const figure of NAMES) {
    const values = valuesOf(figure).filter((value) => value !== undefined && Number.isFinite(value));
    const spread = spreadOf(values as readonly number[]);
    if (spread !== undefined) result[figure] = spread;
  }
  return result;
}

function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Ours to theirs, round by round; of tails one ratio, of the best rounds. */
function ratios(
  figure: FigureName,
  ours: readonly Round[],
  theirs: readonly Round[],
): readonly (number | undefined)[] {
  if (WITHOUT_RATIO.includes(figure)) return [];
  const values = (rounds: readonly Round[]) => rounds.map((round) => round.figures[figure]);
  if (TAILS.includes(figure)) return [quotient(best(values(ours)), best(values(theirs)))];
  const other = values(theirs);
  return values(ours).map((value, i) => quotient(value, other[i]));
}

function best(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

/** Figures that a table shows after the subject, if they were measured. */
const COLUMNS: readonly FigureName[] = [
  "cpuMicros",
  "requestsPerSecond",
  "mibPerSecond",
  "p50Micros",
  "p99Micros",
  "p999Micros",
  "maxMicros",
  "bytesPerConnection",
  "readyMs",
  "rssMiB",
  "peakMiB",
  "driftMiBPerHour",
  "errors",
];

/** A row for each way to the application; what the scenario is about comes first. */
export function rowsOf({ subject, ways }: ScenarioReport): readonly Record<string, string>[] {
  const columns = COLUMNS.filter((figure) => ways.some(({ figures }) => figures[figure] !== undefined));
  const compared = ways.some(({ ratios: one }) => one[subject] !== undefined);
  return ways.map((way) => {
    const row: Record<string, string> = { way: way.name };
    if (compared)
      row[`our ${FIGURES[subject].title} : theirs`] = way.ratios[subject]?.median.toFixed(2) ?? "";
    for (const figure of columns) row[FIGURES[figure].title] = cell(figure, way);
    const busy = way.figures.loadBusy?.median;
    if (busy !== undefined) row["load"] = loadCell(busy, way.name);
    return row;
  });
}

function cell(figure: FigureName, { figures }: WayReport): string {
  const spread = figures[figure];
  if (spread === undefined) return "-";
  const text = spread.median.toFixed(FIGURES[figure].digits);
  return TAILS.includes(figure) ? `${text} (best ${spread.min.toFixed(0)})` : text;
}

function loadCell(busy: number, way: string): string {
  const percent = `${(busy * 100).toFixed(0)}%`;
  return busy > LOAD_BUSY_MAX && way !== DIRECT ? `${percent}: the bottleneck` : percent;
}
