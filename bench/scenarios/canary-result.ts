import { table } from "../harness/table.ts";

/** The old version and the new one. */
export const BACKENDS = ["before", "canary"] as const;
export type Backend = (typeof BACKENDS)[number];

/** What the weights of both add up to. */
export const WEIGHTS_TOTAL = 100;

/** What was seen at one setting of the weights. */
export interface CanaryStep {
  readonly weights: Readonly<Record<Backend, number>>;
  readonly requests: number;
  /** Of which so many came to the canary. */
  readonly toCanary: number;
  /** From the change of the manifest to the first answer under the new weights. */
  readonly inForceAfterMs: number;
}

export interface CanaryResult {
  readonly steps: readonly CanaryStep[];
  /** Requests in all, also those sent while the weights were being changed. */
  readonly requests: number;
  readonly failures: readonly string[];
}

const FULL_REQUESTS = 10_000;
const FULL_DEVIATION_MAX = 0.015;
const SIGMAS = 4;

/** Of shares as floating-point numbers. */
const ROUNDING = 1e-9;

/**
 * How far the share of requests may be from the weight, both as parts of 1. From 10,000 requests on 1.5 percentage points; for
 * fewer four times what chance alone does (the deviation of a binomial distribution). A weight of 0 means no request at all.
 */
export function deviationMax(weight: number, requests: number): number {
  if (weight === 0 || weight === 1) return 0;
  if (requests >= FULL_REQUESTS) return FULL_DEVIATION_MAX;
  return SIGMAS * Math.sqrt((weight * (1 - weight)) / requests);
}

/** How far it is. */
export function deviation({ weights, requests, toCanary }: CanaryStep): number {
  return Math.abs(toCanary / requests - weights.canary / WEIGHTS_TOTAL);
}

/** What was seen, for a terminal. */
export function canaryText({ steps, requests, failures }: CanaryResult): string {
  const percent = (share: number): string => `${points(share)} %`;
  const rows = steps.map((step) => ({
    weights: `${step.weights.before}/${step.weights.canary}`,
    "in force after, ms": step.inForceAfterMs.toFixed(0),
    requests: String(step.requests),
    "to the canary": percent(step.toCanary / step.requests),
    "off by": points(deviation(step)),
    "at most": points(deviationMax(step.weights.canary / WEIGHTS_TOTAL, step.requests)),
  }));
  return `${table(rows)}\n\n${requests} requests in all, ${failures.length} failures`;
}

/** What does not hold. */
export function brokenPromises({ steps, failures }: CanaryResult): readonly string[] {
  const off = steps.flatMap((step) => {
    const { weights, requests } = step;
    const max = deviationMax(weights.canary / WEIGHTS_TOTAL, requests);
    const found = deviation(step);
    if (found <= max + ROUNDING) return [];
    const at = `at ${weights.before}/${weights.canary}`;
    return [`split ${at}: off by ${points(found)} percentage points, expected at most ${points(max)}`];
  });
  return [...off, ...failures.map((failure) => `failed request: ${failure}`)];
}

/** Percentage points. */
function points(share: number): string {
  return (share * 100).toFixed(2);
}
