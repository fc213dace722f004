import { OURS, type Round } from "../figures.ts";
import type { SoakScenario } from "../suite.ts";
import { type Bench, MemorySampler, roundOf, type Rounds, siteOf, specOf } from "./way.ts";

/** Ourselves under a steady load: one round, as long as it is told to be. */
export async function measureSoak(bench: Bench, scenario: SoakScenario): Promise<Rounds> {
  const ours = bench.peers.find(({ name }) => name === OURS);
  if (ours === undefined) return new Map();
  const seconds = bench.minutes * 60;
  const way = await ours.start(scenario.job, siteOf(bench, scenario));
  const memory = new MemorySampler(way, performance.now());
  try {
    bench.onStep(`${bench.minutes} minutes of ${scenario.load.ratePerSecond} requests a second`, seconds);
    const result = await bench.load.run(specOf(scenario.load, way, bench.warmUpSeconds, seconds));
    const round = roundOf(way, scenario.load, result, memory.stop());
    const figures = { ...round.figures, driftMiBPerHour: driftPerHour(round.memory) };
    return new Map<string, Round[]>([[OURS, [{ ...round, figures }]]]);
  } finally {
    memory.stop();
    await way.stop();
  }
}

const SECONDS_PER_HOUR = 3_600;

/**
 * The slope of the line that fits the second half of the samples best (least squares), in MiB an hour. The first half is
 * the heap finding its size.
 */
export function driftPerHour(samples: Round["memory"]): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  if (half.length === 0) return 0;
  const mean = (of: (sample: readonly [number, number]) => number): number =>
    half.reduce((sum, sample) => sum + of(sample), 0) / half.length;
  const meanSeconds = mean(([seconds]) => seconds);
  const meanMiB = mean(([, mib]) => mib);
  const covariance = mean(([seconds, mib]) => (seconds - meanSeconds) * (mib - meanMiB));
  const variance = mean(([seconds]) => (seconds - meanSeconds) ** 2);
  return variance === 0 ? 0 : (covariance / variance) * SECONDS_PER_HOUR;
}
