/** What happens to an endpoint: it leaves the manifest and comes back, or fails in one of three ways and recovers. */
export type IncidentKind = "removed" | "killed" | "slow" | "failing";

export interface Incident {
  readonly kind: IncidentKind;
  /** From 0. */
  readonly endpoint: number;
  /** From the start of the day. */
  readonly fromMs: number;
  readonly toMs: number;
}

export const ENDPOINTS = 10;

/** A day consists of rounds; the next round is for other endpoints. */
export const ROUND_SECONDS = 60;

/**
 * Nothing happens between incidents, so that none is taken for the one before. Slowness lasts longest: it is looked at only
 * when the balancer has had time to notice, however short the round. It also ends before the balancer has forgotten it.
 */
const ROUND: readonly (readonly [kind: IncidentKind, fromSeconds: number, toSeconds: number])[] = [
  ["removed", 3, 10],
  ["killed", 12, 20],
  ["slow", 22, 48],
  ["failing", 50, 57],
];

/** As many rounds as there is time for; in less than `ROUND_SECONDS` one round with everything closer together. */
export function incidentsOf(seconds: number): readonly Incident[] {
  const rounds = Math.max(1, Math.floor(seconds / ROUND_SECONDS));
  const roundMs = (seconds * 1000) / rounds;
  return Array.from({ length: rounds }, (_, round) =>
    ROUND.map(([kind, from, to], i) => ({
      kind,
      endpoint: (round * ROUND.length + i) % ENDPOINTS,
      fromMs: roundMs * (round + from / ROUND_SECONDS),
      toMs: roundMs * (round + to / ROUND_SECONDS),
    })),
  ).flat();
}
