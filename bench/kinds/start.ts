import type { Round } from "../figures.ts";
import { isEnough } from "../settled.ts";
import type { StartScenario } from "../suite.ts";
import { type Bench, memoryOf, roundText, type Rounds, siteOf } from "./way.ts";

export const START_SECONDS = 2;

/** One proxy after the other is started and looked at, in each round. */
export async function measureStart(bench: Bench, scenario: StartScenario): Promise<Rounds> {
  const results = new Map<string, Round[]>(bench.peers.map(({ name }) => [name, []]));
  for (let round = 1; !isEnough(bench.rounds, scenario.subject, results); round++) {
    for (const peer of bench.peers) {
      bench.onStep(`${roundText(bench, round)}, ${peer.name}`, START_SECONDS);
      const way = await peer.start(scenario.job, siteOf(bench, scenario));
      const figures = { readyMs: way.readyMs, rssMiB: memoryOf(way) };
      await way.stop();
      results.get(peer.name)?.push({ figures, curve: [], memory: [] });
    }
  }
  return results;
}
