import { table } from "../harness/table.ts";

/** What a client speaks. */
export const PROTOCOLS = ["HTTP/1", "HTTP/2", "gRPC"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Requests a second that the policy gives each identity at each port. */
export const LIMIT_RPS = 100;

/** Requests a second that each client sends of each protocol, whatever comes back. */
export const OFFERED_RPS = 250;

/** From idle a limit lets one second's worth pass at once; it is counted apart. The first refusal tells that it is used up. */
export const BURST_REQUESTS = LIMIT_RPS;

/** How one client was served over one protocol. */
export interface Served {
  readonly identity: string;
  readonly protocol: Protocol;
  readonly offered: number;
  /** Admitted before anything was refused, beyond what the rate gives in that time: a second's worth, for a client that is quick. */
  readonly burst: number;
  /** A second, from the first refusal to the last admission. */
  readonly admittedRps: number;
  /** A second, from the first request to the last admission, but for one burst: what no client may be given more of, however it stalls. */
  readonly besidesBurstRps: number;
  readonly refused: number;
}

export interface RateLimitResult {
  readonly seconds: number;
  readonly served: readonly Served[];
  /** Answers that are neither an admission nor a refusal as it has to be. */
  readonly wrong: readonly string[];
  /** New connections to the limited proxy while requests were refused: refusing must not cost one. */
  readonly newConnections: number;
}

const FULL_SECONDS = 10;
const DEVIATION_RPS = 2;
/** Requests that the borders of a measurement may take in. */
const BORDER_REQUESTS = 4;

/** The most that a client may be given a second besides its burst. */
export function atMostRps(seconds: number): number {
  return LIMIT_RPS + DEVIATION_RPS + (seconds >= FULL_SECONDS ? 0 : BORDER_REQUESTS / seconds);
}

export function rateLimitText({ seconds, served, newConnections, wrong }: RateLimitResult): string {
  const rows = served.map((s) => ({
    client: s.identity,
    protocol: s.protocol,
    offered: String(s.offered),
    burst: s.burst.toFixed(0),
    "admitted/s after it": s.admittedRps.toFixed(2),
    refused: String(s.refused),
  }));
  return (
    `${table(rows)}\n\n${seconds.toFixed(1)} s of ${OFFERED_RPS}/s, limit ${LIMIT_RPS}/s after a burst of ${BURST_REQUESTS}, ` +
    `${newConnections} new connections, ${wrong.length} wrong answers`
  );
}

/** What does not hold. */
export function brokenPromises(result: RateLimitResult): readonly string[] {
  const max = atMostRps(result.seconds);
  // Other tests run beside a short run and keep its clients from sending in time: only too many are then a fault.
  const isFull = result.seconds >= FULL_SECONDS;
  const broken = result.served.flatMap((s) => {
    const who = `${s.identity} over ${s.protocol}`;
    const problems: string[] = [];
    if (isFull && !(Math.abs(s.admittedRps - LIMIT_RPS) <= DEVIATION_RPS))
      problems.push(
        `${who}: ${s.admittedRps.toFixed(2)} a second, expected ${LIMIT_RPS} within ${DEVIATION_RPS}`,
      );
    if (!(s.besidesBurstRps <= max))
      problems.push(
        `${who}: ${s.besidesBurstRps.toFixed(2)} a second besides a burst, expected at most ${max}`,
      );
    if (s.burst > BURST_REQUESTS + max - LIMIT_RPS)
      problems.push(`${who}: a burst of ${s.burst.toFixed(0)}, expected at most ${BURST_REQUESTS}`);
    if (s.refused === 0) problems.push(`${who}: nothing was refused`);
    return problems;
  });
  if (result.newConnections > 0) broken.push(`${result.newConnections} connections were opened anew`);
  return [...broken, ...result.wrong.map((answer) => `wrong answer: ${answer}`)];
}
