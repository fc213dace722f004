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
  readonly successRate: SuccessRate | undefined;
}

export interface SuccessRate {
  readonly threshold: number;
  readonly windowMs: number;
  readonly minRequests: number;
  /** Whether pauses heed what endpoints ask for with `retry-after`. */
  readonly honorRetryAfter: boolean;
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
    const good = (whole ? /^[0-9]+$/ : /^([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/).test(value.trim());
    return good && number >= min && number <= max ? parsed(number) : unparsed(expected);
  });
}

/** The words of Go's strconv.ParseBool, which every controller takes. */
const booleanText = parsedText('"true" or "false"', (value) => {
  const word = value.trim();
  if (/^(1|t|T|true|TRUE|True)$/.test(word)) return parsed(true);
  return /^(0|f|F|false|FALSE|False)$/.test(word) ? parsed(false) : unparsed("not a boolean");
});

const accrualMode = parsedText('"consecutive" or "unified"', (value) =>
  value === "consecutive" || value === "unified" ? parsed(value) : unparsed("not a mode"),
);

const CONSECUTIVE = "balancer.linkerd.io/failure-accrual-consecutive";
const SUCCESS_RATE = "balancer.alpha.linkerd.io/failure-accrual-success-rate";
const ALPHA = "balancer.alpha.linkerd.io";
const U32_MAX = 0xffff_ffff;

/** Below this window, and above this number of requests, the proxy refuses the whole policy. Source: linkerd2-proxy, linkerd/proxy/client-policy. */
const MIN_WINDOW_MS = 10;
const MAX_MIN_REQUESTS = 1_000_000;

/** Circuit breaking as the annotations of a Service or EgressNetwork ask for it. Source: linkerd2, policy-controller/k8s/index/src/outbound/index.rs. */
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
  const minRequests = annotation(
    document,
    `${SUCCESS_RATE}-min-requests`,
    numberText(0, MAX_MIN_REQUESTS, true),
  );
  const honor = annotation(document, `${ALPHA}/failure-accrual-honor-retry-after`, booleanText);
  if (maxFailures === BAD || minPenaltyMs === BAD || maxPenaltyMs === BAD || jitterRatio === BAD) return BAD;
  if (threshold === BAD || windowMs === BAD || minRequests === BAD || honor === BAD) return BAD;
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
    honorRetryAfter: honor ?? false,
  };
  const shortestMs = successRate.threshold > 0 ? MIN_WINDOW_MS : 1;
  if (mode === "unified" && successRate.windowMs < shortestMs) {
    const at = { ...document, path: `metadata.annotations[${SUCCESS_RATE}-window]` };
    report(at, `found ${successRate.windowMs}ms, expected at least ${shortestMs}ms`);
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
  if (penaltyMs !== undefined && penaltyMs > U32_MAX) {
    const at = { ...document, path: `metadata.annotations[${ALPHA}/load-biaser-penalty]` };
    report(at, `found ${penaltyMs}ms, expected at most ${U32_MAX}ms`);
    return BAD;
  }
  if (wanted !== true) return undefined;
  return { penaltyMs: penaltyMs ?? 5000, maxRetryAfterMs: maxRetryAfterMs ?? 300_000 };
}
