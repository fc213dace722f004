import { table } from "../harness/report.ts";

/** What a client speaks. */
export const PROTOCOLS = ["HTTP/1", "HTTP/2", "gRPC"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Requests a second that the policy gives each identity at each port. */
export const LIMIT_RPS = 100;

/** Requests a second that each client sends of each protocol, whatever comes back. */
export const OFFERED_RPS = 250;

/** From idle a limit lets one second's worth pass at once; it is counted apart. */
export const BURST_REQUESTS = LIMIT_RPS;

/** The burst is used up by then. */
export const BURST_SECONDS = 1;

/** How one client was served over one protocol. */
export interface Served {
  readonly identity: string;
  readonly protocol: Protocol;
  readonly offered: number;
  /** Admitted within `BURST_SECONDS`, beyond what the rate gives in that time. */
  readonly burst: number;
  /** A second: all that were admitted but for one burst, over the time until the last of them. */
  readonly admittedRps: number;
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
const FULL_DEVIATION_RPS = 2;
/** Requests that the borders of a short measurement may take in. */
const BORDER_REQUESTS = 4;
/** Other tests run beside a short one, and keep its clients from sending in time: only too many are then a fault. */
const SHORT_MIN_RPS = LIMIT_RPS / 4;

/** What a client may be given a second: the limit within 2, and more freely where little time was measured. */
export function admissible(seconds: number): { readonly min: number; readonly max: number } {
  if (seconds >= FULL_SECONDS)
    return { min: LIMIT_RPS - FULL_DEVIATION_RPS, max: LIMIT_RPS + FULL_DEVIATION_RPS };
  return { min: SHORT_MIN_RPS, max: LIMIT_RPS + FULL_DEVIATION_RPS + BORDER_REQUESTS / seconds };
}

export function rateLimitText({ seconds, served, newConnections, wrong }: RateLimitResult): string {
  const rows = served.map((s) => ({
    client: s.identity,
    protocol: s.protocol,
    offered: String(s.offered),
    burst: s.burst.toFixed(0),
    "admitted/s besides": s.admittedRps.toFixed(2),
    refused: String(s.refused),
  }));
  return (
    `${table(rows)}\n\n${seconds.toFixed(1)} s of ${OFFERED_RPS}/s, limit ${LIMIT_RPS}/s after a burst of ${BURST_REQUESTS}, ` +
    `${newConnections} new connections, ${wrong.length} wrong answers`
  );
}

/** What does not hold. */
export function brokenPromises(result: RateLimitResult): readonly string[] {
  const { min, max } = admissible(result.seconds);
  const broken = result.served.flatMap((s) => {
    const who = `${s.identity} over ${s.protocol}`;
    const problems: string[] = [];
    if (s.admittedRps < min || s.admittedRps > max)
      problems.push(
        `${who}: ${s.admittedRps.toFixed(2)} a second, expected ${min.toFixed(1)} to ${max.toFixed(1)}`,
      );
    if (s.burst > BURST_REQUESTS + max - LIMIT_RPS)
      problems.push(`${who}: a burst of ${s.burst.toFixed(0)}, expected at most ${BURST_REQUESTS}`);
    if (s.refused === 0) problems.push(`${who}: nothing was refused`);
    return problems;
  });
  if (result.newConnections > 0) broken.push(`${result.newConnections} connections were opened anew`);
  return [...broken, ...result.wrong.map((answer) => `wrong answer: ${answer}`)];
}
