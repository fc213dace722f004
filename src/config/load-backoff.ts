import type { BackoffParams } from "../time/backoff.ts";
import type { VARIABLES } from "./env-names.ts";
import type { Reader } from "./reader.ts";

/** Highest share of a pause that chance may add. Source: linkerd2-proxy, linkerd/exp-backoff/src/lib.rs. */
const JITTER_MAX = 100;

/** The three variables of one backoff. */
export type BackoffNames = typeof VARIABLES.inboundBackoff;

/** Three variables that make sense together only: all unset is the default, both bounds set is a choice. */
export function loadBackoff(r: Reader, names: BackoffNames, whenUnset: BackoffParams): BackoffParams {
  const minMs = r.optional(names.min);
  const maxMs = r.optional(names.max);
  const jitter = r.optional(names.jitter);
  if (!r.isSet(names.min) && !r.isSet(names.max)) {
    if (r.isSet(names.jitter)) {
      r.invalid(names.jitter, "it is set alone", `${names.min.name} and ${names.max.name} to be set too`);
    }
    return whenUnset;
  }
  if (!r.isSet(names.min)) r.invalid(names.max, "it is set alone", `${names.min.name} to be set too`);
  if (!r.isSet(names.max)) r.invalid(names.min, "it is set alone", `${names.max.name} to be set too`);
  if (minMs === undefined || maxMs === undefined) return whenUnset;
  if (maxMs === 0) r.invalid(names.max, "the longest pause is zero", "more than 0");
  else if (minMs > maxMs) r.invalid(names.min, "it is above the longest pause", `at most ${names.max.name}`);
  if (jitter !== undefined && !(jitter >= 0 && jitter <= JITTER_MAX)) {
    r.invalid(names.jitter, "it is out of range", `0 to ${JITTER_MAX}`);
  }
  return { minMs, maxMs, jitter: jitter ?? 0 };
}
