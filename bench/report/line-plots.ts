/** What is drawn as lines: latency by percentile, memory over time. */
import { OURS } from "../figures.ts";
import { finitePoints, medianCurve, thinned, valueAt, type Curve } from "./curve.ts";
import { number } from "./format.ts";
import type { Markup } from "./markup.ts";
import type { Palette } from "./palette.ts";
import { HEIGHT, linePlot, type Line } from "./plot.ts";
import type { ScenarioReport, WayReport } from "./run-report.ts";
import { linearScale, logScale, percentileScale, timeScale } from "./scale.ts";

/** The last percentile that is drawn: a curve ends in its maximum at 100, which is infinitely far away. */
const PERCENTILE_MAX = 99.99;
/** Percentiles with a mark and its number. */
const MARKED = [50, 90, 99, 99.9, 99.99];
/** A linear axis would press the lower lines together when the highest value is so many times the lowest. */
const LOG_FROM = 12;

/** @returns undefined where no round has a curve. */
export function latencyPlot(
  scenario: ScenarioReport,
  id: string,
  palette: Palette,
  height: number,
): Markup | undefined {
  const curves = oursLast(scenario.ways)
    .map(({ name, rounds }) => ({
      name,
      curve: medianCurve(rounds).filter(([at, micros]) => at >= 0 && at <= PERCENTILE_MAX && micros >= 0),
    }))
    .filter(({ curve }) => curve.length > 0);
  if (curves.length === 0) return undefined;
  const all = curves.flatMap(({ curve }) => curve.map(([, micros]) => micros));
  const highest = Math.max(...all);
  // A latency below a microsecond is one below the resolution.
  const lowest = Math.max(1, Math.min(...all));
  const isLog = highest / lowest >= LOG_FROM;
  const lines = curves.map(({ name, curve }): Line => ({
    look: palette(name),
    segments: [curve.map(([at, micros]) => [at, Math.max(lowest, micros)])],
    marks: marked(curve).map(([at, micros]) => ({
      at: [at, Math.max(lowest, micros)],
      title: `${name}: p${at} ${number(micros, 0)} µs`,
    })),
  }));
  const rounds = Math.max(...scenario.ways.map((way) => way.rounds.length));
  return linePlot(
    {
      id,
      title: "Latency by percentile",
      note: rounds > 1 ? `median over ${rounds} rounds at each percentile` : "one round",
      description: curves.map(({ name, curve }) => `${name}: ${inWords(curve)}`).join(". "),
    },
    height,
    [
      { label: "percentile of requests", scale: percentileScale(lastPercentile(curves)) },
      {
        label: `latency, µs${isLog ? " (logarithmic)" : ""}`,
        scale: isLog ? logScale(lowest, highest) : linearScale(highest),
      },
    ],
    lines,
  );
}

function lastPercentile(curves: readonly { readonly curve: Curve }[]): number {
  return Math.max(...curves.map(({ curve }) => curve.at(-1)?.[0] ?? 0));
}

function marked(curve: Curve): readonly (readonly [number, number])[] {
  return MARKED.flatMap((at) => {
    const micros = valueAt(curve, at);
    return micros === undefined ? [] : [[at, micros] as const];
  });
}

function inWords(curve: Curve): string {
  return marked(curve)
    .map(([at, micros]) => `p${at} ${number(micros, 0)} µs`)
    .join(", ");
}

/** Samples of a line: finer than the screen. */
const SAMPLES_MAX = 1_000;
/** So few samples are marked one by one. */
const MARKED_SAMPLES_MAX = 24;

/** @returns undefined where no memory was recorded. */
export function memoryPlot(scenario: ScenarioReport, id: string, palette: Palette): Markup | undefined {
  const series = oursLast(scenario.ways)
    .map(({ name, rounds }) => ({ name, segments: segmentsOf(rounds) }))
    .filter(({ segments }) => segments.length > 0);
  if (series.length === 0) return undefined;
  const all = series.flatMap(({ segments }) => segments.flat());
  const time = timeScale(Math.max(...all.map(([at]) => at)));
  return linePlot(
    {
      id,
      title: "Memory over time",
      note: "resident memory of all proxies on the way",
      description: series
        .map(({ name, segments }) => {
          const [first, last] = [segments[0]?.[0]?.[1], segments.at(-1)?.at(-1)?.[1]];
          return `${name}: from ${number(first, 0)} to ${number(last, 0)} MiB`;
        })
        .join(". "),
    },
    HEIGHT,
    [
      { label: `${time.unit} since the beginning`, scale: time },
      { label: "memory, MiB", scale: linearScale(Math.max(...all.map(([, mib]) => mib))) },
    ],
    series.map(({ name, segments }) => ({
      look: palette(name),
      segments,
      marks: markedSamples(segments).map((at) => ({
        at,
        title: `${name}: ${number(at[1], 1)} MiB after ${number(at[0], 0)} s`,
      })),
    })),
  );
}

/**
 * A proxy keeps its memory while others have their turn: its rounds are one line. Where each round begins anew, with a
 * new process at 0 seconds, each is a line of its own.
 */
function segmentsOf(rounds: WayReport["rounds"]): readonly Curve[] {
  const segments: Curve[] = [];
  for (const { memory } of rounds) {
    const points = thinned(finitePoints(memory), SAMPLES_MAX);
    const last = segments.at(-1);
    const [begin, end] = [points[0]?.[0], last?.at(-1)?.[0]];
    if (begin === undefined) continue;
    if (last !== undefined && end !== undefined && begin >= end)
      segments[segments.length - 1] = [...last, ...points];
    else segments.push(points);
  }
  return segments;
}

/** All samples, or where each line ends. */
function markedSamples(segments: readonly Curve[]): Curve {
  const all = segments.flat();
  return all.length > MARKED_SAMPLES_MAX ? segments.flatMap((points) => points.slice(-1)) : all;
}

/** What comes last is drawn over the others. */
function oursLast(ways: readonly WayReport[]): readonly WayReport[] {
  return ways.toSorted((a, b) => Number(a.name === OURS) - Number(b.name === OURS));
}
