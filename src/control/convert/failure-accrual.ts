import { assertNever } from "../../parsed.ts";
import type { BackoffPolicy, FailureAccrual } from "../../policy/client-policy.ts";
import type * as proto from "../../proto/gen/outbound_pb.js";
import { millisFromProto } from "./duration.ts";
import { field, invalid, optional, required } from "./field.ts";

const DEFAULT_WINDOW_MS = 10_000;
const WINDOW_MIN_MS = 10;
const MIN_REQUESTS_MAX = 1_000_000;
/** Thresholds are kept in steps of 1/10000. */
const THRESHOLD_STEPS = 10_000;
const JITTER_MAX = 100;

/** A circuit breaker. Source: linkerd2-proxy, linkerd/proxy/client-policy/src/lib.rs. */
export function failureAccrualFromProto({ kind }: proto.FailureAccrual): FailureAccrual {
  switch (kind.case) {
    case "consecutiveFailures":
      return field("consecutive_failures", () => ({
        kind: "consecutive",
        maxFailures: kind.value.maxFailures,
        backoff: required("backoff", kind.value.backoff, backoffFromProto),
      }));
    case "unified":
      return field("unified", () => unifiedFromProto(kind.value));
    case undefined:
      return invalid("has no kind");
    default:
      return assertNever(kind);
  }
}

function unifiedFromProto(unified: proto.FailureAccrual_Unified): FailureAccrual {
  const { successRateThreshold: threshold, minRequests } = unified;
  // Written so that NaN fails it.
  if (!(threshold >= 0 && threshold <= 1)) {
    return field("success_rate_threshold", () => invalid(`${threshold} is not between 0 and 1`));
  }
  const windowMs = optional("decay", unified.decay, millisFromProto) ?? DEFAULT_WINDOW_MS;
  if (threshold > 0 && windowMs < WINDOW_MIN_MS) {
    return field("decay", () => invalid(`${windowMs}ms is below ${WINDOW_MIN_MS}ms`));
  }
  if (minRequests > MIN_REQUESTS_MAX) {
    return field("min_requests", () => invalid(`${minRequests} is above ${MIN_REQUESTS_MAX}`));
  }
  return {
    kind: "unified",
    successRateThreshold: Math.round(threshold * THRESHOLD_STEPS) / THRESHOLD_STEPS,
    windowMs,
    minRequests,
    maxConsecutiveFailures: unified.maxConsecutiveFailures,
    backoff: required("backoff", unified.backoff, backoffFromProto),
  };
}

/** A pause between attempts, of retries and of breakers. */
export function backoffFromProto(backoff: proto.ExponentialBackoff): BackoffPolicy {
  const minMs = required("min_backoff", backoff.minBackoff, millisFromProto);
  const maxMs = required("max_backoff", backoff.maxBackoff, millisFromProto);
  const jitter = backoff.jitterRatio;
  if (maxMs === 0) return field("max_backoff", () => invalid("is 0"));
  if (maxMs < minMs) return field("max_backoff", () => invalid("is below min_backoff"));
  // Written so that NaN fails it.
  if (!(jitter >= 0 && jitter <= JITTER_MAX)) {
    return field("jitter_ratio", () => invalid(`${jitter} is not between 0 and ${JITTER_MAX}`));
  }
  return { minMs, maxMs, jitter };
}
