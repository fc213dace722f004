/**
 * Ten endpoints, one of which becomes slow: who is sent how much, and how long do requests take. The balancer's own code
 * chooses; everything else is numbers, so a run is the same each time and takes no time to speak of.
 */
import type { Loaded } from "../../src/balance/load.ts";
import { PeakEwma } from "../../src/balance/peak-ewma.ts";
import { ReadySet } from "../../src/balance/ready-set.ts";
import { DEFAULT_LOAD } from "../../src/policy/synthesize.ts";
import { seeded } from "../../test/support/chance.ts";

export const STRATEGIES = ["p2c", "round-robin", "random"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface SimulationParams {
  readonly endpoints: number;
  /** Requests arrive at random, on average so many a second (open loop: nobody waits for an answer to ask again). */
  readonly requestsPerSecond: number;
  /** Mean latency of every endpoint at first, and of all but one later. */
  readonly fastMs: number;
  /** Mean latency of one endpoint from `slowAtMs` on. */
  readonly slowMs: number;
  readonly slowAtMs: number;
  readonly endMs: number;
  /** Width of the slices in which the share of the slow endpoint is told. */
  readonly sliceMs: number;
  readonly seed: number;
}

export const DEFAULTS: SimulationParams = {
  endpoints: 10,
  requestsPerSecond: 200,
  fastMs: 5,
  slowMs: 1_000,
  slowAtMs: 2_000,
  endMs: 12_000,
  sliceMs: 500,
  seed: 1,
};

export interface Slice {
  readonly atMs: number;
  /** Of the requests that arrived in the slice, how many went to the endpoint that becomes slow: 0 to 1. */
  readonly slowShare: number;
}

export interface Run {
  readonly strategy: Strategy;
  /** From the moment that one endpoint is slow. */
  readonly slowShare: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly slices: readonly Slice[];
}

/** One endpoint as its balancer sees it, with the latency that it has. */
class Endpoint implements Loaded {
  readonly measured: PeakEwma;

  constructor() {
    // As `LoadParams` of a policy that says nothing about it.
    this.measured = new PeakEwma(DEFAULT_LOAD.defaultRttMs, DEFAULT_LOAD.decayMs, 0);
  }

  load(nowMs: number): number {
    return this.measured.load(nowMs);
  }
}

interface UnderWay {
  readonly endpoint: Endpoint;
  readonly sentAtMs: number;
  readonly doneAtMs: number;
}

export function simulate(strategy: Strategy, params: SimulationParams = DEFAULTS): Run {
  const { requestsPerSecond, fastMs, slowMs, slowAtMs, endMs, sliceMs, seed } = params;
  // Arrivals and latencies are the same for each strategy; only its own draws are its own.
  const [arrivals, latencies, draws] = [seeded(seed), seeded(seed + 1), seeded(seed + 2)];
  const endpoints = Array.from({ length: params.endpoints }, () => new Endpoint());
  const [slow] = endpoints;
  const pick = picker(strategy, endpoints, draws);
  const underWay: UnderWay[] = [];
  const taken: number[] = [];
  const slices: { all: number; slow: number }[] = [];
  let slowCount = 0;
  let nowMs = exponential(arrivals) * (1000 / requestsPerSecond);
  for (; nowMs < endMs; nowMs += exponential(arrivals) * (1000 / requestsPerSecond)) {
    finish(underWay, nowMs);
    const endpoint = pick(nowMs);
    const isSlow = endpoint === slow;
    const meanMs = isSlow && nowMs >= slowAtMs ? slowMs : fastMs;
    // Half is certain, half is chance: no latency is below half of the mean, some are several times as long.
    const tookMs = meanMs * (0.5 + 0.5 * exponential(latencies));
    endpoint.measured.begin();
    insert(underWay, { endpoint, sentAtMs: nowMs, doneAtMs: nowMs + tookMs });
    const slice = (slices[Math.floor(nowMs / sliceMs)] ??= { all: 0, slow: 0 });
    slice.all++;
    if (isSlow) slice.slow++;
    if (nowMs < slowAtMs) continue;
    taken.push(tookMs);
    if (isSlow) slowCount++;
  }
  taken.sort((a, b) => a - b);
  return {
    strategy,
    slowShare: slowCount / taken.length,
    p50Ms: percentile(taken, 0.5),
    p99Ms: percentile(taken, 0.99),
    slices: slices.map(({ all, slow }, i) => ({ atMs: i * sliceMs, slowShare: slow / all })),
  };
}

function picker(
  strategy: Strategy,
  endpoints: readonly Endpoint[],
  random: () => number,
): (nowMs: number) => Endpoint {
  const at = (index: number): Endpoint => {
    const endpoint = endpoints[index];
    if (endpoint === undefined) throw new Error(`no endpoint ${index} of ${endpoints.length}`);
    return endpoint;
  };
  if (strategy === "random") return () => at(Math.floor(random() * endpoints.length));
  if (strategy === "round-robin") {
    let next = 0;
    return () => at(next++ % endpoints.length);
  }
  const ready = new ReadySet<Endpoint>();
  for (const endpoint of endpoints) ready.add(endpoint);
  return (nowMs) => ready.pick(nowMs, random) ?? at(0);
}

/** Tells the endpoints of all answers that have come by now, in order. */
function finish(underWay: UnderWay[], nowMs: number): void {
  for (let first = underWay[0]; first !== undefined && first.doneAtMs <= nowMs; first = underWay[0]) {
    underWay.shift();
    first.endpoint.measured.end(first.sentAtMs, first.doneAtMs, undefined);
  }
}

/** Keeps those under way in the order in which they end; at most some hundreds, so a list will do. */
function insert(underWay: UnderWay[], request: UnderWay): void {
  const index = underWay.findIndex(({ doneAtMs }) => doneAtMs > request.doneAtMs);
  underWay.splice(index === -1 ? underWay.length : index, 0, request);
}

/** Exponentially distributed with mean 1. */
function exponential(random: () => number): number {
  return -Math.log(1 - random());
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
