import type { HeaderField } from "../wire/header-field.ts";
import type { HeaderMatch } from "./route-match.ts";
import { judgeRegex, type Verdict } from "./verdict.ts";

/**
 * Whether some field of that name has the value. Each field line counts by itself: a list is not split at its commas.
 *
 * Source: linkerd2-proxy, linkerd/http/route/src/http/match/header.rs.
 */
export function matchHeader(match: HeaderMatch, fields: readonly HeaderField[]): Verdict {
  let verdict: Verdict = "no_match";
  for (const { name, value } of fields) {
    if (name !== match.name && name.text !== match.name.text) continue;
    if (match.kind === "exact") {
      if (value === match.value) return "match";
    } else if (VISIBLE.test(value)) {
      const judged = judgeRegex(match.regex, value);
      if (judged === "match") return judged;
      if (judged === "unjudged") verdict = judged;
    }
  }
  return verdict;
}

/** Other bytes have no agreed meaning as text, so no pattern speaks about them. */
const VISIBLE = /^[\t\x20-\x7e]*$/;
