import { assertNever } from "../parsed.ts";
import type { ProfileRoute, RequestMatch, ResponseMatch } from "./client-policy.ts";
import { endOfPath, type RequestView } from "./request-view.ts";
import { judgeRegex, type Verdict } from "./verdict.ts";

/**
 * The first route of a profile whose condition holds, as its place in the list; -1 if none does: the default route is
 * then in force.
 *
 * A path that is too long for its pattern matches no route that asks about it. That is safe: a profile's routes differ in
 * how requests are counted and repeated, never in who may send them or where they go.
 *
 * Source: linkerd2-proxy, linkerd/service-profiles/src/http.rs (route_for_request).
 */
export function findProfileRoute(routes: readonly ProfileRoute[], request: RequestView): number {
  const target = request.path?.value ?? "";
  const path = target.slice(0, endOfPath(target));
  for (let i = 0; i < routes.length; i++) {
    const route = routes[i];
    if (route !== undefined && judgeRequest(route.condition, request.method.value, path) === "match")
      return i;
  }
  return -1;
}

/**
 * Whether a condition on requests holds. What nobody can judge stays unjudged through every negation, so that `not` of a
 * pattern never takes a path that the pattern was too slow for.
 *
 * @param path without query, as received.
 */
export function judgeRequest(match: RequestMatch, method: string, path: string): Verdict {
  switch (match.kind) {
    case "path":
      return judgeRegex(match.regex, path);
    case "method":
      return match.method === method ? "match" : "no_match";
    case "not":
      return opposite(judgeRequest(match.of, method, path));
    case "all":
      return judgeAll(match.of, "no_match", method, path);
    case "any":
      return judgeAll(match.of, "match", method, path);
    default:
      return assertNever(match);
  }
}

/** `all` is decided by one member that fails, `any` by one that holds; of no members, `all` holds and `any` fails. */
function judgeAll(
  members: readonly RequestMatch[],
  decisive: "match" | "no_match",
  method: string,
  path: string,
): Verdict {
  let verdict: Verdict = decisive === "match" ? "no_match" : "match";
  for (const member of members) {
    const judged = judgeRequest(member, method, path);
    if (judged === decisive) return judged;
    if (judged === "unjudged") verdict = judged;
  }
  return verdict;
}

function opposite(verdict: Verdict): Verdict {
  if (verdict === "unjudged") return verdict;
  return verdict === "match" ? "no_match" : "match";
}

/** Whether a condition on responses holds for a status. */
export function matchesStatus(match: ResponseMatch, status: number): boolean {
  switch (match.kind) {
    case "status":
      return match.low <= status && status <= match.high;
    case "not":
      return !matchesStatus(match.of, status);
    case "all":
      return match.of.every((member) => matchesStatus(member, status));
    case "any":
      return match.of.some((member) => matchesStatus(member, status));
    default:
      return assertNever(match);
  }
}
