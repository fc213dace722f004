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
  readonly peers: readonly Peer[];
  readonly certs: Certs;
  readonly dir: string;
  /** Told before each step what it is. */
  readonly onStep: (text: string) => void;
}

/** Before the first round, in a closed loop: until compilers have compiled and pools have filled, as in a proxy of some age. */
const WARM_UP_SECONDS = 3;
/** Before each measurement. */
const RAMP_SECONDS = 0.5;
const MIB = 1 << 20;

/** Runs one scenario: all proxies are started, and take turns in each round, so that a noisy minute is noisy for all. */
export async function measure(
  load: LoadProcess,
  scenario: Scenario,
  { rounds, seconds, peers, certs, dir, onStep }: MeasureOptions,
): Promise<Measurements> {
  const appPort = load.ports[scenario.job.protocol];
  const ways: { readonly name: string; readonly way: Way }[] = [{ name: DIRECT, way: direct(appPort) }];
  try {
    for (const peer of peers) {
      onStep(`starting ${peer.name}`);
      ways.push({ name: peer.name, way: await peer.start(scenario.job, { appPort, dir, certs }) });
    }
    const run = (way: Way, warmUpSeconds: number, measured: number): Promise<LoadResult> =>
      load.run(specOf(scenario, way, warmUpSeconds, measured));
    for (const { name, way } of ways) {
      onStep(`warming up ${name}`);
      await load.run({ ...specOf(scenario, way, 0, WARM_UP_SECONDS), ratePerSecond: undefined });
    }
    const results = new Map<string, Measurement[]>(ways.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      // Whoever comes after the idle core of the direct way has it harder: nobody always does.
      const turn = round % ways.length;
      for (const { name, way } of [...ways.slice(turn), ...ways.slice(0, turn)]) {
        onStep(`round ${round} of ${rounds}, ${name}`);
        results.get(name)?.push(evaluate(await run(way, RAMP_SECONDS, seconds), way, scenario));
      }
    }
    return results;
  } finally {
    for (const { way } of ways) await way.stop();
  }
}

type Way = RunningPeer;

function direct(port: number): Way {
  return { port, proxies: {}, stop: () => Promise.resolve() };
}

function specOf({ load }: Scenario, way: Way, warmUpSeconds: number, seconds: number): LoadSpec {
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
