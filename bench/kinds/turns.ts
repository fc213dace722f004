/** How a round of load goes. */
import type { LoadScenario } from "../suite.ts";
import type { Bench } from "./way.ts";

/**
 * How long a way has its turn. The noise of neighbours is as large over a quarter of a second as over several seconds: the
 * more turns, the more of it cancels out.
 */
const TURN_SECONDS = 0.25;
/** In an open loop a turn has so many requests at least: most of it is not the beginning. */
const TURN_REQUESTS = 50;
/** Before each turn: connections are opened, and the caches become the proxy's own again. */
const RAMP_SECONDS = 0.1;
const RAMP_REQUESTS = 10;
/** Where a turn takes long to begin there is one in a round: autocannon is compiled anew, idle connections are opened by the thousand. */
const SLOW_RAMP_SECONDS = 1;

/** So many turns of so many seconds on each way, each after a ramp. */
export interface Turns {
  readonly count: number;
  readonly seconds: number;
  readonly rampSeconds: number;
}

export function turnsOf(bench: Pick<Bench, "seconds">, scenario: LoadScenario): Turns {
  const seconds = Math.max(bench.seconds, scenario.secondsAtLeast ?? 0);
  const { ratePerSecond = Infinity, idleConnections = 0 } = scenario.load;
  if (scenario.generator !== undefined || idleConnections > 0)
    return { count: 1, seconds, rampSeconds: SLOW_RAMP_SECONDS };
  const count = Math.max(1, Math.round(seconds / Math.max(TURN_SECONDS, TURN_REQUESTS / ratePerSecond)));
  const rampSeconds = Math.max(RAMP_SECONDS, RAMP_REQUESTS / ratePerSecond);
  return { count, seconds: seconds / count, rampSeconds };
}
