import type { Delivery } from "./fleet.ts";
import { ROUND_SECONDS, type Incident, type IncidentKind } from "./outbound-day-plan.ts";

/** Requests a second, whatever becomes of those before. */
export const PER_SECOND = 200;

/** Reads are tried again when they fail, as often as `RETRY_LIMIT`; orders are not. */
export type RequestKind = "read" | "order";

export const RETRY_LIMIT = 2;

/** Deliveries that the policy of a request allows. */
export const DELIVERIES_MAX: Readonly<Record<RequestKind, number>> = { read: 1 + RETRY_LIMIT, order: 1 };

/** A request that did not get its answer. */
export interface Failure {
  readonly kind: RequestKind;
  /** The incident that was the last to begin. */
  readonly after: IncidentKind | undefined;
  /** A status and who says so, or an error of the client. */
  readonly cause: string;
}

/** Where the requests went while one endpoint was slow, from when its balancer must have noticed. */
export interface SlowShare {
  readonly windows: number;
  /** Of which so many saw a request come to the slow endpoint. */
  readonly touched: number;
  readonly deliveries: number;
  readonly toSlow: number;
}

export interface OutboundDayResult {
  readonly seconds: number;
  readonly requests: Readonly<Record<RequestKind, number>>;
  readonly failures: readonly Failure[];
  /** As the proxy counted them. */
  readonly retries: number;
  /** Requests as the applications saw them: more than requests, by those tried again. */
  readonly deliveries: number;
  /** Requests that came more often than their policy allows, in words. */
  readonly tooOften: readonly string[];
  /** What the endpoint got of each incident once it could be noticed: in its later half. */
  readonly incidents: readonly { readonly kind: IncidentKind; readonly share: number }[];
  readonly slow: SlowShare;
}

const FAILURES_MAX = 0.001;
const SLOW_SHARE_MAX = 0.02;

/** Long enough for the first slow answer, and as much again. */
const NOTICED_AFTER_MS = 2_000;
const WINDOW_MS = 100;

/**
 * Looks at windows of 100 ms from 2 s after the endpoint became slow, until it is well again.
 *
 * @param deliveries in the order in which they came.
 */
export function slowShare(deliveries: readonly Delivery[], incidents: readonly Incident[]): SlowShare {
  const share = { windows: 0, touched: 0, deliveries: 0, toSlow: 0 };
  for (const { endpoint, fromMs, toMs } of incidents) {
    const noticedMs = fromMs + NOTICED_AFTER_MS;
    const length = Math.max(0, Math.floor((toMs - noticedMs) / WINDOW_MS));
    const windows = Array.from({ length }, () => 0);
    for (const delivery of deliveries) {
      const at = Math.floor((delivery.atMs - noticedMs) / WINDOW_MS);
      const before = windows[at];
      if (before === undefined) continue;
      share.deliveries++;
      if (delivery.endpoint === endpoint) windows[at] = before + 1;
    }
    share.windows += windows.length;
    for (const count of windows) {
      share.toSlow += count;
      if (count > 0) share.touched++;
    }
  }
  return share;
}

/** Of all requests in the later half of an incident, how many came to its endpoint: 0 to 1. */
export function laterShare(deliveries: readonly Delivery[], { endpoint, fromMs, toMs }: Incident): number {
  const later = deliveries.filter(({ atMs }) => (fromMs + toMs) / 2 <= atMs && atMs < toMs);
  return later.filter((delivery) => delivery.endpoint === endpoint).length / later.length;
}

/** Requests that came more often than allowed, each in one line. */
export function deliveredTooOften(
  deliveries: readonly Delivery[],
  kindOf: (id: string) => RequestKind,
): readonly string[] {
  const times = new Map<string, number>();
  for (const { id } of deliveries) times.set(id, (times.get(id) ?? 0) + 1);
  const lines: string[] = [];
  for (const [id, count] of times) {
    const kind = kindOf(id);
    if (count > DELIVERIES_MAX[kind]) lines.push(`${kind} ${id} came ${count} times`);
  }
  return lines;
}

/**
 * What does not hold. In a round that is shorter than a minute breakers take as many failures to shut as in a whole one: it
 * may have as many.
 */
export function brokenPromises(result: OutboundDayResult): readonly string[] {
  const { requests, failures, tooOften, slow } = result;
  const broken: string[] = [];
  const sent = requests.read + requests.order;
  const failuresMax = FAILURES_MAX * Math.max(sent, ROUND_SECONDS * PER_SECOND);
  if (failures.length > failuresMax) {
    broken.push(
      `success: ${failures.length} of ${sent} requests failed, expected at most ${Math.floor(failuresMax)}`,
    );
  }
  broken.push(...tooOften.map((line) => `sent again: ${line}, more often than its policy allows`));
  if (slow.windows === 0) broken.push("slow endpoint: too short to see what it gets");
  const share = slow.toSlow / slow.deliveries;
  if (share >= SLOW_SHARE_MAX) {
    broken.push(`slow endpoint: it got ${percent(share)} of the requests, expected less than 2 %`);
  }
  return broken;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
