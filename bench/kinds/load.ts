import { DIRECT, type Round } from "../figures.ts";
import { runAutocannon } from "../load/autocannon.ts";
import { pathOfBytes } from "../load/http1.ts";
import type { LoadResult } from "../load/load-spec.ts";
import type { Peer } from "../peers/peer.ts";
import { isEnough } from "../settled.ts";
import type { LoadScenario } from "../suite.ts";
import { type Turns, turnsOf } from "./turns.ts";
import {
  type Bench,
  directWay,
  MemorySampler,
  portOf,
  roundOf,
  type Rounds,
  roundText,
  siteOf,
  specOf,
  type Way,
} from "./way.ts";

/**
 * Tails are measured once a proxy has settled at the given rate: a compiler that answers to a new kind of load works on the
 * same core for up to ten seconds, and every hundredth request waits for it.
 */
const SETTLE_SECONDS = 10;
/** The direct way is what the load can do, and what latency is added to: it has no ratio that more rounds would sharpen. */
const DIRECT_ROUNDS = 2;
/** What starting a proxy takes, for the estimate alone. */
const START_SECONDS = 1;

/** All proxies are started, and take turns, so that a noisy minute is noisy for all. */
export async function measureLoad(bench: Bench, scenario: LoadScenario): Promise<Rounds> {
  const { warmUpSeconds, peers, onStep, rounds: plan } = bench;
  const turns = turnsOf(bench, scenario);
  if (scenario.addresses !== undefined) await bench.load.listenOnAddresses(scenario.addresses);
  const ways: Way[] = [directWay(portOf(bench.load.ports, scenario))];
  const run = runnerOf(bench, scenario);
  const beganAtMs = performance.now();
  try {
    for (const peer of peers) {
      onStep(`starting ${peer.name}`, START_SECONDS);
      ways.push({ name: peer.name, ...(await peer.start(scenario.job, siteOf(bench, scenario))) });
    }
    for (const way of ways) {
      const settleSeconds = settleSecondsOf(way.name, scenario);
      onStep(`warming up ${way.name}`, warmUpSeconds + settleSeconds);
      await run(way, { rampSeconds: 0, seconds: warmUpSeconds, closed: true });
      if (settleSeconds > 0) await run(way, { rampSeconds: 0, seconds: settleSeconds });
    }
    const results = new Map<string, Round[]>(ways.map(({ name }) => [name, []]));
    for (let round = 1; !isEnough(plan, scenario.subject, results); round++) {
      const inRound = round <= DIRECT_ROUNDS ? ways : ways.filter(({ name }) => name !== DIRECT);
      onStep(roundText(bench, round), inRound.length * secondsOf(turns));
      const measured = await measureRound(inRound, turns, round, beganAtMs, run);
      for (const [way, { result, memory }] of measured) {
        results.get(way.name)?.push(roundOf(way, scenario.load, result, memory));
      }
    }
    return results;
  } finally {
    for (const way of ways) await way.stop();
  }
}

interface RunOptions {
  readonly rampSeconds: number;
  readonly seconds: number;
  /** Whatever the rate of the scenario. */
  readonly closed?: boolean;
  /** Adds to what the run before measured on this way. */
  readonly continues?: boolean;
}

type Runner = (way: Way, options: RunOptions) => Promise<LoadResult>;

function runnerOf({ load }: Bench, scenario: LoadScenario): Runner {
  return async (way, { rampSeconds, seconds, closed = false, continues = false }) => {
    const { connections, responseBytes } = scenario.load;
    const wanted = closed ? { ...scenario.load, ratePerSecond: undefined } : scenario.load;
    try {
      return scenario.generator === undefined
        ? await load.run({ ...specOf(wanted, way, rampSeconds, seconds), continues })
        : await runAutocannon({
            ...{ port: way.port, path: pathOfBytes(responseBytes), connections },
            ...{ seconds, warmUpSeconds: rampSeconds, processes: way.proxies },
          });
    } catch (error) {
      throw new Error(`${scenario.name}: ${way.name} failed`, { cause: error });
    }
  };
}

interface Measured {
  /** Of all turns. */
  readonly result: LoadResult;
  readonly memory: readonly (readonly [number, number])[];
}

/** Turn by turn, each way in its turn. */
async function measureRound(
  ways: readonly Way[],
  { count, rampSeconds, seconds }: Turns,
  round: number,
  beganAtMs: number,
  run: Runner,
): Promise<ReadonlyMap<Way, Measured>> {
  const measured = new Map<Way, Measured>();
  for (let turn = 0; turn < count; turn++) {
    // Whoever comes after the idle core of the direct way has it harder: nobody always does.
    const first = (round * count + turn) % ways.length;
    for (const way of [...ways.slice(first), ...ways.slice(0, first)]) {
      const sampler = new MemorySampler(way, beganAtMs);
      const before = measured.get(way)?.memory ?? [];
      try {
        const result = await run(way, { rampSeconds, seconds, continues: turn > 0 });
        measured.set(way, { result, memory: [...before, ...sampler.stop()] });
      } finally {
        sampler.stop();
      }
    }
  }
  return measured;
}

function settleSecondsOf(way: string, { load }: LoadScenario): number {
  return load.ratePerSecond === undefined || way === DIRECT ? 0 : SETTLE_SECONDS;
}

function secondsOf({ count, rampSeconds, seconds }: Turns): number {
  return count * (rampSeconds + seconds);
}

/** About how long it takes, if it takes all the rounds there may be. */
export function loadSeconds(
  scenario: LoadScenario,
  bench: Omit<Bench, "peers">,
  peers: readonly Peer[],
): number {
  const { atMost } = bench.rounds;
  const round = secondsOf(turnsOf(bench, scenario));
  const secondsOfWay = (way: string, rounds: number): number =>
    bench.warmUpSeconds + settleSecondsOf(way, scenario) + rounds * round;
  return peers.reduce(
    (sum, { name }) => sum + START_SECONDS + secondsOfWay(name, atMost),
    secondsOfWay(DIRECT, Math.min(atMost, DIRECT_ROUNDS)),
  );
}
