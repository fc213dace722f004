import type { Regex } from "./route-match.ts";

/** Whether a condition holds. `unjudged`: the value is too long for its pattern, so nobody knows. */
export type Verdict = "match" | "no_match" | "unjudged";

/** Judges a value by a pattern without exceeding the time that one match may take. */
export function judgeRegex(regex: Regex, value: string): Verdict {
  if (value.length > regex.maxLength) return "unjudged";
  return regex.matchesWhole(value) ? "match" : "no_match";
}
