import { OURS, type Round } from "../figures.ts";
import { isEnough } from "../settled.ts";
import type { IdleScenario } from "../suite.ts";
import { type Bench, MemorySampler, memoryOf, roundText, type Rounds, siteOf, specOf } from "./way.ts";

const MIB = 1 << 20;
/** So much load before the first look at the memory: what every proxy allocates once is not the connections'. */
const PRELUDE = {
  protocol: "http1",
  connections: 64,
  streams: 1,
  requestBytes: 0,
  responseBytes: 1024,
} as const;
/** Half of all connections opens a proxy's pools and tables before any is counted. */
const SETTLE_MS = 500;
export const IDLE_SECONDS = 8;

/**
 * One proxy after the other, each a new process in each round: memory that was once used is not given back. A peer that
 * cannot hold so many (its own limits, or descriptors) is left out, and said to be; we have to.
 */
export async function measureIdle(bench: Bench, scenario: IdleScenario): Promise<Rounds> {
  const beganAtMs = performance.now();
  const results = new Map<string, Round[]>(bench.peers.map(({ name }) => [name, []]));
  for (let round = 1; !isEnough(bench.rounds, scenario.subject, results); round++) {
    for (const peer of bench.peers) {
      if (!results.has(peer.name)) continue;
      bench.onStep(`${roundText(bench, round)}, ${peer.name}`, IDLE_SECONDS);
      const way = await peer.start(scenario.job, siteOf(bench, scenario));
      try {
        await bench.load.run(specOf(PRELUDE, way, 0, bench.warmUpSeconds));
        await pause(SETTLE_MS);
        const memory = new MemorySampler(way, beganAtMs);
        const before = memoryOf(way);
        try {
          await bench.load.holdIdle(way.port, scenario.connections, { warm: true });
        } catch (error) {
          memory.stop();
          await bench.load.releaseIdle();
          if (peer.name === OURS) throw error;
          const reason = error instanceof Error ? error.message : String(error);
          bench.onStep(`without ${peer.name}: ${reason}`, 0);
          results.delete(peer.name);
          continue;
        }
        await pause(SETTLE_MS);
        const after = memoryOf(way);
        const samples = memory.stop();
        await bench.load.releaseIdle();
        results.get(peer.name)?.push({
          figures: { bytesPerConnection: ((after - before) * MIB) / scenario.connections, rssMiB: after },
          curve: [],
          memory: samples,
        });
      } finally {
        await way.stop();
      }
    }
  }
  return results;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
