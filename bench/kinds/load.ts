import type { Round } from "../figures.ts";
import { runAutocannon } from "../load/autocannon.ts";
import { pathOfBytes } from "../load/http1.ts";
import type { LoadResult } from "../load/load-spec.ts";
import type { Peer } from "../peers/peer.ts";
import type { LoadScenario } from "../suite.ts";
import {
  type Bench,
  directWay,
  MemorySampler,
  portOf,
  roundOf,
  type Rounds,
  siteOf,
  specOf,
  type Way,
} from "./way.ts";

/**
 * Tails are measured once a proxy has settled at the given rate: a compiler that answers to a new kind of load works on the
 * same core for up to ten seconds, and every hundredth request waits for it.
 */
const SETTLE_SECONDS = 10;
/** Before each measurement. */
const RAMP_SECONDS = 0.5;
/** What starting a proxy takes, for the estimate alone. */
const START_SECONDS = 1;

/** All proxies are started, and take turns in each round, so that a noisy minute is noisy for all. */
export async function measureLoad(bench: Bench, scenario: LoadScenario): Promise<Rounds> {
  const { rounds, warmUpSeconds, peers, onStep } = bench;
  const seconds = Math.max(bench.seconds, scenario.secondsAtLeast ?? 0);
  if (scenario.addresses !== undefined) await bench.load.listenOnAddresses(scenario.addresses);
  const ways: Way[] = [directWay(portOf(bench.load.ports, scenario))];
  const run = async (way: Way, ramp: number, time: number, closed = false): Promise<LoadResult> => {
    const load = closed ? { ...scenario.load, ratePerSecond: undefined } : scenario.load;
    try {
      return scenario.generator === undefined
        ? await bench.load.run(specOf(load, way, ramp, time))
        : await runAutocannon({
            ...{ port: way.port, path: pathOfBytes(load.responseBytes), connections: load.connections },
            ...{ seconds: time, warmUpSeconds: ramp, processes: way.proxies },
          });
    } catch (error) {
      throw new Error(`${scenario.name}: ${way.name} failed`, { cause: error });
    }
  };
  const beganAtMs = performance.now();
  try {
    for (const peer of peers) {
      onStep(`starting ${peer.name}`, START_SECONDS);
      ways.push({ name: peer.name, ...(await peer.start(scenario.job, siteOf(bench, scenario))) });
    }
    for (const way of ways) {
      const settleSeconds = settles(scenario) ? SETTLE_SECONDS : 0;
      onStep(`warming up ${way.name}`, warmUpSeconds + settleSeconds);
      await run(way, 0, warmUpSeconds, true);
      if (settleSeconds > 0) await run(way, 0, settleSeconds);
    }
    const results = new Map<string, Round[]>(ways.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      // Whoever comes after the idle core of the direct way has it harder: nobody always does.
      const turn = round % ways.length;
      for (const way of [...ways.slice(turn), ...ways.slice(0, turn)]) {
        onStep(`round ${round} of ${rounds}, ${way.name}`, RAMP_SECONDS + seconds);
        const memory = new MemorySampler(way, beganAtMs);
        try {
          const result = await run(way, RAMP_SECONDS, seconds);
          results.get(way.name)?.push(roundOf(way, scenario.load, result, memory.stop()));
        } finally {
          memory.stop();
        }
      }
    }
    return results;
  } finally {
    for (const way of ways) await way.stop();
  }
}

function settles({ load }: LoadScenario): boolean {
  return load.ratePerSecond !== undefined;
}

/** About how long it takes. */
export function loadSeconds(
  scenario: LoadScenario,
  bench: Omit<Bench, "peers">,
  peers: readonly Peer[],
): number {
  const ways = peers.length + 1;
  const seconds = Math.max(bench.seconds, scenario.secondsAtLeast ?? 0);
  const warmUp = bench.warmUpSeconds + (settles(scenario) ? SETTLE_SECONDS : 0);
  return peers.length * START_SECONDS + ways * (warmUp + bench.rounds * (RAMP_SECONDS + seconds));
}
