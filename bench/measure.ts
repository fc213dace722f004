import { rssMiB } from "./harness/cpu.ts";
import type { LoadProcess } from "./load/load-process.ts";
import type { LoadResult, LoadSpec } from "./load/load-spec.ts";
import type { Certs, Peer, RunningPeer } from "./peers/peer.ts";
import type { Scenario } from "./suite.ts";

/** One round of one way to the application. */
export interface Measurement extends LoadResult {
  readonly requestsPerSecond: number;
  readonly mibPerSecond: number;
  /** Of all proxies on the way. */
  readonly cpuMicrosPerRequest: number;
  readonly rssMiB: Readonly<Record<string, number>>;
}

/** The way without a proxy, beside which the others are put. */
export const DIRECT = "direct";

/** Rounds by the name of the peer, `DIRECT` among them. */
export type Measurements = ReadonlyMap<string, readonly Measurement[]>;

export interface MeasureOptions {
  readonly rounds: number;
  /** Measured, in each round. */
  readonly seconds: number;
  /** Before the first round, in a closed loop: until compilers have compiled and pools have filled, as in a proxy of some age. */
  readonly warmUpSeconds: number;
  readonly peers: readonly Peer[];
  readonly certs: Certs;
  readonly dir: string;
  /** Told before each step what it is. */
  readonly onStep: (text: string) => void;
}

/**
 * Tails are measured once a proxy has settled at the given rate, for so many times the warm-up: a compiler that answers to
 * a new kind of load works on the same core, and every hundredth request waits for it.
 */
const SETTLE = 2.5;
/** Before each measurement. */
const RAMP_SECONDS = 0.5;
const MIB = 1 << 20;

/** Runs one scenario: all proxies are started, and take turns in each round, so that a noisy minute is noisy for all. */
export async function measure(
  load: LoadProcess,
  scenario: Scenario,
  { rounds, seconds, warmUpSeconds, peers, certs, dir, onStep }: MeasureOptions,
): Promise<Measurements> {
  const appPort = load.ports[scenario.job.protocol];
  const ways: Way[] = [direct(appPort)];
  const run = async (way: Way, spec: LoadSpec): Promise<LoadResult> => {
    try {
      return await load.run(spec);
    } catch (error) {
      throw new Error(`${scenario.name}: ${way.name} failed`, { cause: error });
    }
  };
  try {
    for (const peer of peers) {
      onStep(`starting ${peer.name}`);
      ways.push({ name: peer.name, ...(await peer.start(scenario.job, { appPort, dir, certs })) });
    }
    for (const way of ways) {
      onStep(`warming up ${way.name}`);
      await run(way, { ...specOf(scenario, way, 0, warmUpSeconds), ratePerSecond: undefined });
      if (scenario.subject === "latency") await run(way, specOf(scenario, way, 0, SETTLE * warmUpSeconds));
    }
    const results = new Map<string, Measurement[]>(ways.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      // Whoever comes after the idle core of the direct way has it harder: nobody always does.
      const turn = round % ways.length;
      for (const way of [...ways.slice(turn), ...ways.slice(0, turn)]) {
        onStep(`round ${round} of ${rounds}, ${way.name}`);
        const result = await run(way, specOf(scenario, way, RAMP_SECONDS, seconds));
        results.get(way.name)?.push(evaluate(result, way, scenario));
      }
    }
    return results;
  } finally {
    for (const way of ways) await way.stop();
  }
}

/** A way to the application, through a proxy or a pair or nothing. */
interface Way extends RunningPeer {
  readonly name: string;
}

function direct(port: number): Way {
  return { name: DIRECT, port, proxies: {}, stop: () => Promise.resolve() };
}

/** What the load process is to do for a scenario on one way. */
export function specOf(
  { load }: Scenario,
  way: RunningPeer,
  warmUpSeconds: number,
  seconds: number,
): LoadSpec {
  return {
    ...load,
    port: way.port,
    authority: `web.shop.svc.cluster.local:${way.port}`,
    warmUpSeconds,
    seconds,
    processes: way.proxies,
  };
}

function evaluate(result: LoadResult, { proxies }: Way, { load }: Scenario): Measurement {
  const micros = Object.values(result.cpuMicros).reduce((sum, one) => sum + one, 0);
  const bytes = result.bodyBytes + result.requests * load.requestBytes;
  return {
    ...result,
    requestsPerSecond: result.requests / result.seconds,
    mibPerSecond: bytes / MIB / result.seconds,
    cpuMicrosPerRequest: micros / result.requests,
    rssMiB: Object.fromEntries(
      Object.entries(proxies).map(([part, pids]) => [part, pids.reduce((sum, pid) => sum + rssMiB(pid), 0)]),
    ),
  };
}
