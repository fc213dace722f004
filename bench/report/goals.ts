/** The numbers that the project promises to hold, and what a run says about them. */
import { DIRECT, OURS, type FigureName } from "../figures.ts";
import type { RunReport, ScenarioReport, WayReport } from "./run-report.ts";

/** A goal, and what became of it in one run. */
export interface Goal {
  readonly name: string;
  /** For people: `at most 0.8`. */
  readonly goal: string;
  /** In the same unit as `measured`. */
  readonly limit: number;
  /** Empty for ratios. */
  readonly unit: string;
  /** Digits behind the point in tables. */
  readonly digits: number;
  readonly better: "lower" | "higher";
  /** Undefined if the run did not measure it. */
  readonly measured: number | undefined;
  readonly met: boolean | undefined;
  readonly scenario: string;
}

/** Where in a scenario the number stands. */
type Source =
  /** Ours to a peer's, as the report has it. */
  | { readonly kind: "ratio"; readonly figure: FigureName; readonly peer: string }
  /** What we add to the direct path. */
  | { readonly kind: "added"; readonly figure: FigureName; readonly times: number }
  /** Our own median. */
  | { readonly kind: "own"; readonly figure: FigureName; readonly times: number };

interface Definition {
  readonly name: string;
  readonly scenario: string;
  readonly source: Source;
  readonly limit: number;
  /** Whether the limit itself is good enough. */
  readonly bound: "at most" | "under";
  readonly unit: string;
  readonly digits: number;
}

/** Figures are of the whole way; goals about memory are of one proxy. */
const PROXIES_OF_A_PAIR = 2;
const MS_PER_MICRO = 1 / 1_000;
/** Goals are in units of ten, the kernel's figures in units of two. */
const MB_PER_MIB = 2 ** 20 / 1e6;
const KB_PER_BYTE = 1 / 1_000;

/** The peer that the goals name. */
const PEER = "haproxy";

const RATIO = { bound: "at most", unit: "", digits: 2 } as const;
const CPU_TO_PEER = { ...RATIO, source: { kind: "ratio", figure: "cpuMicros", peer: PEER } } as const;
const P99_TO_PEER = { ...RATIO, source: { kind: "ratio", figure: "quietP99Micros", peer: PEER } } as const;
const P99_ADDED = {
  source: { kind: "added", figure: "quietP99Micros", times: MS_PER_MICRO },
  limit: 1,
  bound: "under",
  unit: "ms",
  digits: 2,
} as const;
const MEGABYTES = { bound: "at most", unit: "MB", digits: 1 } as const;

const DEFINITIONS: readonly Definition[] = [
  { name: "CPU to HAProxy's, HTTP/2", scenario: "pair-http2", ...CPU_TO_PEER, limit: 0.8 },
  { name: "CPU to HAProxy's, HTTP/2, second stage", scenario: "pair-http2", ...CPU_TO_PEER, limit: 0.7 },
  { name: "CPU to HAProxy's, gRPC", scenario: "pair-grpc", ...CPU_TO_PEER, limit: 0.8 },
  { name: "CPU to HAProxy's, gRPC, second stage", scenario: "pair-grpc", ...CPU_TO_PEER, limit: 0.7 },
  { name: "CPU to HAProxy's, HTTP/1", scenario: "pair-http1", ...CPU_TO_PEER, limit: 1 },
  { name: "p99 added at 2,000/s, HTTP/1", scenario: "pair-http1-steady", ...P99_ADDED },
  { name: "p99 added at 2,000/s, HTTP/2", scenario: "pair-http2-steady", ...P99_ADDED },
  { name: "p99 to HAProxy's at 2,000/s, HTTP/1", scenario: "pair-http1-steady", ...P99_TO_PEER, limit: 1.1 },
  { name: "p99 to HAProxy's at 2,000/s, HTTP/2", scenario: "pair-http2-steady", ...P99_TO_PEER, limit: 1.1 },
  {
    name: "Memory of an idle proxy",
    scenario: "start",
    // One proxy alone: nothing to divide.
    source: { kind: "own", figure: "rssMiB", times: MB_PER_MIB },
    ...{ limit: 60, ...MEGABYTES },
  },
  {
    name: "Memory of a proxy after the soak",
    scenario: "soak",
    source: { kind: "own", figure: "rssMiB", times: MB_PER_MIB / PROXIES_OF_A_PAIR },
    ...{ limit: 90, ...MEGABYTES },
  },
  {
    // The line through a few minutes is never quite flat.
    name: "Growth of the pair in the soak",
    scenario: "soak",
    source: { kind: "own", figure: "driftMiBPerHour", times: 1 },
    ...{ limit: 1, bound: "at most", unit: "MiB/h", digits: 1 },
  },
  {
    name: "Start to ready",
    scenario: "start",
    source: { kind: "own", figure: "readyMs", times: 1 },
    ...{ limit: 300, bound: "at most", unit: "ms", digits: 0 },
  },
  {
    // Both proxies of the pair hold something for a client's connection, and the figure is the sum of both.
    name: "Memory of a proxy per idle connection",
    scenario: "idle-10000",
    source: { kind: "own", figure: "bytesPerConnection", times: KB_PER_BYTE / PROXIES_OF_A_PAIR },
    ...{ limit: 12, bound: "at most", unit: "KB", digits: 1 },
  },
];

/** Every goal that a run can know, whether this one measured it or not. */
export function goalsOf(report: RunReport): readonly Goal[] {
  return DEFINITIONS.map(({ source, bound, ...definition }) => {
    const { scenario, limit, unit } = definition;
    const measured = measuredIn(
      report.scenarios.find(({ name }) => name === scenario),
      source,
    );
    const met = measured === undefined ? undefined : bound === "under" ? measured < limit : measured <= limit;
    return { ...definition, goal: `${bound} ${limit} ${unit}`.trimEnd(), better: "lower", measured, met };
  });
}

/** @returns undefined for what was not measured, and for what a division or a round without requests spoiled. */
function measuredIn(scenario: ScenarioReport | undefined, source: Source): number | undefined {
  const value = valueIn(scenario, source);
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}

function valueIn(scenario: ScenarioReport | undefined, source: Source): number | undefined {
  const { figure } = source;
  if (source.kind === "ratio") return wayOf(scenario, source.peer)?.ratios[figure]?.median;
  const ours = wayOf(scenario, OURS)?.figures[figure];
  if (source.kind === "own") return source.times * (ours?.median ?? NaN);
  const direct = wayOf(scenario, DIRECT)?.figures[figure];
  return source.times * ((ours?.median ?? NaN) - (direct?.median ?? NaN));
}

function wayOf(scenario: ScenarioReport | undefined, name: string): WayReport | undefined {
  return scenario?.ways.find((way) => way.name === name);
}
