import { assertNever } from "../src/parsed.ts";
import type { Peer } from "./peers/peer.ts";
import { measureIdle, IDLE_SECONDS } from "./kinds/idle.ts";
import { loadSeconds, measureLoad } from "./kinds/load.ts";
import { measureSoak } from "./kinds/soak.ts";
import { measureStart, START_SECONDS } from "./kinds/start.ts";
import type { Bench, Rounds } from "./kinds/way.ts";
import type { Scenario } from "./suite.ts";

/** Measures one scenario on every way that takes it. */
export function measure(bench: Bench, scenario: Scenario): Promise<Rounds> {
  switch (scenario.kind) {
    case "load":
      return measureLoad(bench, scenario);
    case "idle":
      return measureIdle(bench, scenario);
    case "start":
      return measureStart(bench, scenario);
    case "soak":
      return measureSoak(bench, scenario);
    default:
      return assertNever(scenario);
  }
}

/** About how many seconds that takes, if it takes all the rounds there may be. */
export function secondsOf(scenario: Scenario, bench: Omit<Bench, "peers">, peers: readonly Peer[]): number {
  switch (scenario.kind) {
    case "load":
      return loadSeconds(scenario, bench, peers);
    case "idle":
      return bench.rounds.atMost * peers.length * IDLE_SECONDS;
    case "start":
      return bench.rounds.atMost * peers.length * START_SECONDS;
    case "soak":
      return bench.minutes * 60;
    default:
      return assertNever(scenario);
  }
}
