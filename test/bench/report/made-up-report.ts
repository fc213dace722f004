/** Reports as a run might have written them, from a few plausible numbers. */
import type { FigureName, Figures, Round, Spread } from "../../../bench/figures.ts";
import { DIRECT, FIGURES, OURS } from "../../../bench/figures.ts";
import { median } from "../../../bench/harness/median.ts";
import type { RunReport, ScenarioReport, WayReport } from "../../../bench/report/run-report.ts";

const ROUNDS = 5;

/** A few per cent around 1, the same in every run. */
function wobble(round: number, salt: number): number {
  return 1 + 0.06 * Math.sin(12.9898 * (round + 1) + 78.233 * salt);
}

interface Character {
  readonly name: string;
  /** Microseconds of processor time. */
  readonly cpu: number;
  /** Of the latency, in microseconds. */
  readonly middle: number;
  /** How much more each nine costs. */
  readonly tail: number;
  readonly memoryMiB: number;
}

const CHARACTERS: readonly Character[] = [
  { name: DIRECT, cpu: 0, middle: 84, tail: 1.5, memoryMiB: 0 },
  { name: OURS, cpu: 41, middle: 262, tail: 1.66, memoryMiB: 118 },
  { name: "haproxy", cpu: 54, middle: 290, tail: 1.62, memoryMiB: 38 },
  { name: "nginx", cpu: 61, middle: 330, tail: 1.71, memoryMiB: 44 },
  { name: "nghttpx", cpu: 78, middle: 351, tail: 1.83, memoryMiB: 62 },
  { name: "node:http2", cpu: 423, middle: 1_310, tail: 2.3, memoryMiB: 186 },
];

const CURVE_PLACES = [0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100];

/** Without a tail at all, `nines` being infinite at 100. */
function micros({ middle, tail }: Character, percentile: number): number {
  const nines = -Math.log10(1 - Math.min(percentile, 99.995) / 100);
  return middle * 0.7 * tail ** (nines + 0.3);
}

interface Kind {
  readonly name: string;
  readonly title: string;
  readonly subject: FigureName;
  /** How much more work than in the plainest scenario. */
  readonly scale: number;
  readonly figures: readonly FigureName[];
  readonly hasCurve: boolean;
  readonly who: "everyone" | "proxies" | "ours";
  readonly rounds: number;
  /** Whether a proxy lives through all rounds, is a new one in each, or is not watched at all. */
  readonly memory: "kept" | "anew" | "none";
  /** Length of a turn. */
  readonly seconds: number;
}

const USUAL: readonly FigureName[] = [
  ...(["cpuMicros", "requestsPerSecond", "mibPerSecond", "p50Micros", "p90Micros"] as const),
  ...(["p99Micros", "quietP99Micros"] as const),
  ...(["p999Micros", "maxMicros", "rssMiB", "peakMiB", "errors", "loadBusy"] as const),
];

const KINDS: readonly Kind[] = [
  kind("pair-http1", "pair over mutual TLS, HTTP/1, 64 connections", "cpuMicros", 1.3),
  kind(
    "pair-http1-autocannon",
    "pair over mutual TLS, HTTP/1, 64 connections of autocannon",
    "cpuMicros",
    1.3,
  ),
  kind("pair-http2", "pair over mutual TLS, HTTP/2, 64 connections", "cpuMicros", 1),
  kind("pair-grpc", "pair over mutual TLS, unary gRPC calls, 64 connections", "cpuMicros", 1.2),
  kind("pair-http1-steady", "pair over mutual TLS, HTTP/1, 2,000 requests a second", "quietP99Micros", 1.1),
  kind("pair-http2-steady", "pair over mutual TLS, HTTP/2, 2,000 requests a second", "quietP99Micros", 1),
  { ...kind("pair-download", "pair, responses of 10 MiB", "mibPerSecond", 60), hasCurve: false },
  {
    ...kind("start", "one proxy from its start until it is ready", "readyMs", 1),
    ...{ figures: ["readyMs", "rssMiB"], hasCurve: false, who: "proxies", memory: "none" },
  },
  {
    ...kind("soak", "pair at 2,000 requests a second for minutes", "driftMiBPerHour", 1),
    ...{ figures: [...USUAL, "driftMiBPerHour"], who: "ours", rounds: 1, seconds: 600 },
  },
  {
    ...kind("idle-10000", "pair with 10,000 idle connections", "bytesPerConnection", 1),
    ...{ figures: ["bytesPerConnection", "rssMiB"], hasCurve: false, who: "proxies", memory: "anew" },
  },
];

function kind(name: string, title: string, subject: FigureName, scale: number): Kind {
  return {
    ...{ name, title, subject, scale, figures: USUAL },
    ...{ hasCurve: true, who: "everyone", rounds: ROUNDS, memory: "kept", seconds: 3 },
  };
}

function figuresOf(kind: Kind, character: Character, round: number): Figures {
  const noise = wobble(round, character.middle);
  const at = (percentile: number): number => Math.round(kind.scale * noise * micros(character, percentile));
  const ofProxies: Figures = {
    cpuMicros: character.cpu * kind.scale * noise,
    rssMiB: character.memoryMiB * noise,
    peakMiB: character.memoryMiB * 1.2,
    readyMs: 2.1 * character.memoryMiB * noise,
    bytesPerConnection: 160 * character.memoryMiB,
    driftMiBPerHour: 10 * Math.abs(noise - 1),
  };
  const all: Figures = {
    ...(character.name === DIRECT ? {} : ofProxies),
    requestsPerSecond: 1e6 / (character.cpu + 12) / kind.scale / noise,
    mibPerSecond: 6e4 / (character.cpu + 12) / noise,
    p50Micros: at(50),
    p90Micros: at(90),
    p99Micros: at(99),
    quietP99Micros: Math.round(at(99) / 1.3),
    p999Micros: at(99.9),
    maxMicros: at(100),
    errors: 0,
    loadBusy: character.name === DIRECT ? 1 : 9 / character.cpu + 0.1,
  };
  return Object.fromEntries(
    Object.entries(all).filter(([name]) => kind.figures.includes(name as FigureName)),
  );
}

function roundsOf(kind: Kind, character: Character): readonly Round[] {
  return Array.from({ length: kind.rounds }, (_, round) => ({
    figures: figuresOf(kind, character, round),
    curve: kind.hasCurve ? curveOf(kind, character, round) : [],
    memory: kind.memory === "none" || character.name === DIRECT ? [] : memoryOf(kind, character, round),
  }));
}

function curveOf(kind: Kind, character: Character, round: number): Round["curve"] {
  const noise = wobble(round, character.middle);
  return CURVE_PLACES.map((place) => [place, Math.round(kind.scale * noise * micros(character, place))]);
}

const SAMPLES = 8;

/** A heap finding its size. */
function memoryOf({ memory, seconds }: Kind, { memoryMiB }: Character, round: number): Round["memory"] {
  return Array.from({ length: SAMPLES }, (_, sample) => {
    const past = memory === "kept" ? round : 0;
    const age = past * SAMPLES + sample;
    return [
      seconds * (past + sample / SAMPLES),
      memoryMiB * wobble(round, sample) ** 0.2 * (1 - 0.3 * Math.exp(-age / 6)),
    ];
  });
}

/** The middle and the extremes of a figure, for every figure that all rounds have. */
export function spreads(rounds: readonly Figures[]): WayReport["figures"] {
  const entries = (Object.keys(FIGURES) as FigureName[]).flatMap((name): readonly [FigureName, Spread][] => {
    const values = rounds.map((round) => round[name]).filter((value) => value !== undefined);
    if (values.length === 0) return [];
    return [[name, { median: median(values), min: Math.min(...values), max: Math.max(...values) }]];
  });
  return Object.fromEntries(entries);
}

function scenarioOf(kind: Kind): ScenarioReport {
  const characters = CHARACTERS.filter(({ name }) => {
    if (kind.who === "ours") return name === OURS;
    return kind.who === "everyone" || name !== DIRECT;
  });
  const ours = characters.filter(({ name }) => name === OURS).flatMap((one) => roundsOf(kind, one));
  const ways = characters.map((character): WayReport => {
    const { name } = character;
    const rounds = roundsOf(kind, character);
    const figures = spreads(rounds.map((round) => round.figures));
    return { name, rounds, figures, ratios: name === OURS || name === DIRECT ? {} : ratiosOf(ours, rounds) };
  });
  return { name: kind.name, title: kind.title, subject: kind.subject, ways };
}

function ratiosOf(ours: readonly Round[], theirs: readonly Round[]): WayReport["ratios"] {
  return spreads(
    ours.map(({ figures }, i) =>
      Object.fromEntries(
        Object.entries(figures).map(([name, value]) => [
          name,
          value / (theirs[i]?.figures[name as FigureName] ?? NaN),
        ]),
      ),
    ),
  );
}

/** A whole run beside four peers, one of which is absent. */
export function madeUpReport(): RunReport {
  return {
    version: 2,
    date: "2026-11-21T00:09:06.682Z",
    machine: {
      ...{ cores: 2, model: "Example CPU at 3.0 GHz", memoryMiB: 7_960, kernel: "6.12.0" },
      ...{ node: "v26.10.0", pinned: true },
    },
    commit: "1b9f224c+",
    options: { rounds: ROUNDS, seconds: 3, warmUpSeconds: 3 },
    absent: [{ name: "envoy", reason: "envoy is not on PATH" }],
    scenarios: KINDS.map(scenarioOf),
  };
}
