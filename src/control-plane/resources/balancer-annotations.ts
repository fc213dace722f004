import { parsed, unparsed } from "../../parsed.ts";
import { report, type Found } from "./found.ts";
import { annotation } from "./object-meta.ts";
import { BAD, parsedText, type Bad, type Reader } from "./reader.ts";
import { annotationDuration } from "./words.ts";

/** When an endpoint of a service is taken out of its balancer. Times in milliseconds. */
export interface FailureAccrual {
  readonly maxFailures: number;
  readonly minPenaltyMs: number;
  readonly maxPenaltyMs: number;
  readonly jitterRatio: number;
  /** Set in the unified mode: also judge by the share of successes. */
  readonly successRate:
    | { readonly threshold: number; readonly windowMs: number; readonly minRequests: number }
    | undefined;
}

/** Failures that count as load for a while. Times in milliseconds. */
export interface LoadPenalty {
  readonly penaltyMs: number;
  readonly maxRetryAfterMs: number;
}

/** A number, in text, within bounds. */
function numberText(min: number, max: number, whole: boolean): Reader<number> {
  const expected = `a ${whole ? "whole " : ""}number from ${min} to ${max}`;
  return parsedText(expected, (value) => {
    const number = Number(value.trim());
    const good = /^[0-9]+(\.[0-9]+)?$/.test(value.trim()) && (!whole || Number.isInteger(number));
    return good && number >= min && number <= max ? parsed(number) : unparsed(expected);
  });
}

const booleanText = parsedText('"true" or "false"', (value) => {
  const word = value.trim().toLowerCase();
  return word === "true" || word === "false" ? parsed(word === "true") : unparsed("not a boolean");
});

const accrualMode = parsedText('"consecutive" or "unified"', (value) =>
  value === "consecutive" || value === "unified" ? parsed(value) : unparsed("not a mode"),
);

const CONSECUTIVE = "balancer.linkerd.io/failure-accrual-consecutive";
const SUCCESS_RATE = "balancer.alpha.linkerd.io/failure-accrual-success-rate";
const ALPHA = "balancer.alpha.linkerd.io";
const U32_MAX = 0xffff_ffff;

/** Below this window the proxy refuses the whole policy. Source: linkerd2-proxy, linkerd/proxy/client-policy. */
const MIN_WINDOW_MS = 10;

/** Circuit breaking as the annotations of a service ask for it. Source: linkerd2, policy-controller/k8s/index/src/outbound/index.rs. */
export function failureAccrual(document: Found): FailureAccrual | undefined | Bad {
  const mode = annotation(document, "balancer.linkerd.io/failure-accrual", accrualMode);
  if (mode === BAD) return BAD;
  if (mode === undefined) return undefined;
  const maxFailures = annotation(document, `${CONSECUTIVE}-max-failures`, numberText(0, U32_MAX, true));
  const minPenaltyMs = annotation(document, `${CONSECUTIVE}-min-penalty`, annotationDuration);
  const maxPenaltyMs = annotation(document, `${CONSECUTIVE}-max-penalty`, annotationDuration);
  const jitterRatio = annotation(document, `${CONSECUTIVE}-jitter-ratio`, numberText(0, 100, false));
  const threshold = annotation(document, `${SUCCESS_RATE}-threshold`, numberText(0, 1, false));
  const windowMs = annotation(document, `${SUCCESS_RATE}-window`, annotationDuration);
  const minRequests = annotation(document, `${SUCCESS_RATE}-min-requests`, numberText(0, 1_000_000, true));
  if (maxFailures === BAD || minPenaltyMs === BAD || maxPenaltyMs === BAD || jitterRatio === BAD) return BAD;
  if (threshold === BAD || windowMs === BAD || minRequests === BAD) return BAD;
  const penalties = { minPenaltyMs: minPenaltyMs ?? 1000, maxPenaltyMs: maxPenaltyMs ?? 60_000 };
  if (penalties.minPenaltyMs > penalties.maxPenaltyMs || penalties.maxPenaltyMs === 0) {
    const at = { ...document, path: `metadata.annotations[${CONSECUTIVE}-max-penalty]` };
    report(
      at,
      `found ${penalties.maxPenaltyMs}ms, expected more than zero and not less than min-penalty (${penalties.minPenaltyMs}ms)`,
    );
    return BAD;
  }
  const successRate = {
    threshold: threshold ?? 0.8,
    windowMs: windowMs ?? 10_000,
    minRequests: minRequests ?? 5,
  };
  if (mode === "unified" && successRate.threshold > 0 && successRate.windowMs < MIN_WINDOW_MS) {
    const at = { ...document, path: `metadata.annotations[${SUCCESS_RATE}-window]` };
    report(at, `found ${successRate.windowMs}ms, expected at least ${MIN_WINDOW_MS}ms`);
    return BAD;
  }
  return {
    maxFailures: maxFailures ?? 7,
    ...penalties,
    jitterRatio: jitterRatio ?? 0.5,
    successRate: mode === "unified" ? successRate : undefined,
  };
}

/** The penalty load balancer, if the annotations of a service ask for it. Source: as above. */
export function loadPenalty(document: Found): LoadPenalty | undefined | Bad {
  const wanted = annotation(document, `${ALPHA}/penalize-failures`, booleanText);
  const penaltyMs = annotation(document, `${ALPHA}/load-biaser-penalty`, annotationDuration);
  const maxRetryAfterMs = annotation(document, `${ALPHA}/load-biaser-max-retry-after`, annotationDuration);
  if (wanted === BAD || penaltyMs === BAD || maxRetryAfterMs === BAD) return BAD;
  if (wanted !== true) return undefined;
  return { penaltyMs: penaltyMs ?? 5000, maxRetryAfterMs: maxRetryAfterMs ?? 300_000 };
}
