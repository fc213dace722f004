import type { Round } from "../figures.ts";
import { DIRECT } from "../figures.ts";
import { peakMiB, rssMiB } from "../harness/cpu.ts";
import { quietest } from "../harness/median.ts";
import type { LoadProcess } from "../load/load-process.ts";
import type { ApplicationPorts, LoadResult, LoadSpec } from "../load/load-spec.ts";
import type { Certs, Peer, RunningPeer, Site } from "../peers/peer.ts";
import { planText, type RoundPlan } from "../settled.ts";
import type { Load, Scenario } from "../suite.ts";

/** What every kind of scenario is measured with. */
export interface Bench {
  readonly load: LoadProcess;
  readonly certs: Certs;
  readonly dir: string;
  readonly peers: readonly Peer[];
  readonly rounds: RoundPlan;
  /** Measured on each way, in each round. */
  readonly seconds: number;
  /** Before the first round, in a closed loop: until compilers have compiled and pools have filled, as in a proxy of some age. */
  readonly warmUpSeconds: number;
  /** How long a soak takes. */
  readonly minutes: number;
  /** Told before each step what it is, and how many seconds it takes. */
  readonly onStep: (text: string, seconds: number) => void;
}

/** `round 3 of 6`, `round 3 of 6 to 8`. */
export function roundText({ rounds }: Pick<Bench, "rounds">, round: number): string {
  return `round ${round} of ${planText(rounds)}`;
}

/** Rounds by the name of the way, in the order of the tables. */
export type Rounds = ReadonlyMap<string, readonly Round[]>;

/** A way to the application, through a proxy or a pair or nothing. */
export interface Way extends RunningPeer {
  readonly name: string;
}

export function portOf(ports: ApplicationPorts, { job }: Scenario): number {
  return ports[job.protocol];
}

/** The way without a proxy. */
export function directWay(port: number): Way {
  return { name: DIRECT, port, proxies: {}, stop: () => Promise.resolve() };
}

export function siteOf({ load, certs, dir }: Bench, scenario: Scenario): Site {
  return { appPort: portOf(load.ports, scenario), dir, certs };
}

/** What the load process is to do on one way. */
export function specOf(load: Load, way: RunningPeer, warmUpSeconds: number, seconds: number): LoadSpec {
  return {
    ...load,
    port: way.port,
    authority: `web.shop.svc.cluster.local:${way.port}`,
    warmUpSeconds,
    seconds,
    processes: way.proxies,
  };
}

function pidsOf({ proxies }: RunningPeer): readonly number[] {
  return Object.values(proxies).flat();
}

/** Resident memory of all proxies on a way. */
export function memoryOf(way: RunningPeer): number {
  return pidsOf(way).reduce((sum, pid) => sum + rssMiB(pid), 0);
}

function peakOf(way: RunningPeer): number {
  return pidsOf(way).reduce((sum, pid) => sum + peakMiB(pid), 0);
}

const SAMPLE_MS = 500;

/** Samples the memory of a way while something goes on: `[seconds since the first sampler began, MiB]`. */
export class MemorySampler {
  readonly samples: [number, number][] = [];
  readonly #way: RunningPeer;
  readonly #beganAtMs: number;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(way: RunningPeer, beganAtMs: number) {
    this.#way = way;
    this.#beganAtMs = beganAtMs;
    this.#timer = pidsOf(way).length === 0 ? undefined : setInterval(() => this.#sample(), SAMPLE_MS);
  }

  stop(): readonly [number, number][] {
    clearInterval(this.#timer);
    if (this.#timer !== undefined) this.#sample();
    return this.samples;
  }

  #sample(): void {
    const seconds = (performance.now() - this.#beganAtMs) / 1000;
    this.samples.push([Math.round(seconds * 10) / 10, Math.round(memoryOf(this.#way) * 10) / 10]);
  }
}

const MIB = 1 << 20;

/** The figures of one round of load. */
export function roundOf(way: RunningPeer, load: Load, result: LoadResult, memory: Round["memory"]): Round {
  const { latency, requests, seconds } = result;
  const proxied = pidsOf(way).length > 0;
  const micros = Object.values(result.cpuMicros).reduce((sum, one) => sum + one, 0);
  const bytes = result.bodyBytes + requests * load.requestBytes;
  return {
    figures: {
      ...(proxied ? { cpuMicros: micros / requests } : {}),
      requestsPerSecond: requests / seconds,
      mibPerSecond: bytes / MIB / seconds,
      p50Micros: latency.p50,
      p90Micros: latency.p90,
      p99Micros: latency.p99,
      ...(result.windowP99Micros.length > 0 ? { quietP99Micros: quietest(result.windowP99Micros) } : {}),
      p999Micros: latency.p999,
      maxMicros: latency.max,
      ...(proxied ? { rssMiB: memoryOf(way), peakMiB: peakOf(way) } : {}),
      errors: result.errors,
      loadBusy: result.loadBusy,
    },
    curve: result.curve,
    memory,
  };
}
