/** A rate as the generic cell rate algorithm counts it, in whole nanoseconds. */
export interface Rate {
  /** Time that one request costs. */
  readonly intervalNs: number;
  /** How far ahead of time requests may come: all of one second's requests at once. */
  readonly toleranceNs: number;
}

const NS_PER_SECOND = 1e9;

/** @param rps at least 1. */
export function rateOf(rps: number): Rate {
  const intervalNs = Math.floor(NS_PER_SECOND / rps);
  return { intervalNs, toleranceNs: intervalNs * (rps - 1) };
}

/**
 * One step of the algorithm: whether a request may pass at `nowNs`, told by the new state.
 *
 * @param state the time at which the cell is empty again, as the last allowed request left it; undefined at first.
 * @returns the new state, or undefined if the request is refused, which leaves the state as it was.
 *
 * Source: linkerd2-proxy, linkerd/proxy/server-policy/src/local_rate_limit.rs, and the GCRA of ITU-T I.371.
 */
export function admit(rate: Rate, state: number | undefined, nowNs: number): number | undefined {
  const emptyAt = state ?? nowNs;
  if (nowNs < Math.max(0, emptyAt - rate.toleranceNs)) return undefined;
  return Math.max(emptyAt, nowNs) + rate.intervalNs;
}
