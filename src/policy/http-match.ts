import { assertNever } from "../parsed.ts";
import { matchHeader } from "./header-match.ts";
import { queryPairs, type QueryPair } from "./query.ts";
import { endOfPath, type RequestView } from "./request-view.ts";
import type { HttpMatch, PathMatch, QueryMatch } from "./route-match.ts";
import { judgeRegex, type Verdict } from "./verdict.ts";

/** A request taken apart for matching: made once per search, whatever the number of rules. */
export class HttpRequestParts {
  readonly request: RequestView;
  readonly target: string;
  /** Length of the path within `target`. */
  readonly pathLength: number;
  #query: readonly QueryPair[] | undefined;

  constructor(request: RequestView) {
    this.request = request;
    this.target = request.path?.value ?? "";
    this.pathLength = endOfPath(this.target);
  }

  get path(): string {
    return this.pathLength === this.target.length ? this.target : this.target.slice(0, this.pathLength);
  }

  get query(): readonly QueryPair[] {
    return (this.#query ??= queryPairs(this.target));
  }
}

/** Whether all conditions of a match hold. */
export function matchHttp(match: HttpMatch, parts: HttpRequestParts): Verdict {
  if (match.method !== undefined && match.method !== parts.request.method.value) return "no_match";
  let verdict = match.path === undefined ? "match" : matchPath(match.path, parts);
  if (verdict === "no_match") return verdict;
  for (const header of match.headers) {
    const judged = matchHeader(header, parts.request.fields);
    if (judged === "no_match") return judged;
    if (judged === "unjudged") verdict = judged;
  }
  for (const query of match.query) {
    const judged = matchQuery(query, parts.query);
    if (judged === "no_match") return judged;
    if (judged === "unjudged") verdict = judged;
  }
  return verdict;
}

/**
 * Whether the path, exactly as received, fulfils a condition. Nothing is decoded or normalised: the application gets
 * the bytes that were judged.
 *
 * Source: linkerd2-proxy, linkerd/http/route/src/http/match/path.rs.
 */
function matchPath(match: PathMatch, parts: HttpRequestParts): Verdict {
  const { target, pathLength } = parts;
  switch (match.kind) {
    case "exact":
      return pathLength === match.path.length && target.startsWith(match.path) ? "match" : "no_match";
    case "prefix":
      return hasPathPrefix(target, pathLength, match.prefix) ? "match" : "no_match";
    case "regex":
      return judgeRegex(match.regex, parts.path);
    default:
      return assertNever(match);
  }
}

function hasPathPrefix(target: string, pathLength: number, prefix: string): boolean {
  if (prefix === "/") return true;
  const length = prefixLength(prefix);
  if (length > pathLength) return false;
  if (!target.startsWith(length === prefix.length ? prefix : prefix.slice(0, length))) return false;
  // Whole segments only: "/foo" is a prefix of "/foo/bar", not of "/foobar".
  return length === pathLength || target.charCodeAt(length) === SLASH;
}

/** Characters of a path that a prefix covers: itself without trailing slashes; the one slash of "/". */
export function prefixLength(prefix: string): number {
  let length = prefix.length;
  while (length > 1 && prefix.charCodeAt(length - 1) === SLASH) length--;
  return length;
}

function matchQuery(match: QueryMatch, pairs: readonly QueryPair[]): Verdict {
  let verdict: Verdict = "no_match";
  for (const [name, value] of pairs) {
    if (name !== match.name) continue;
    if (match.kind === "exact") {
      if (value === match.value) return "match";
      continue;
    }
    const judged = judgeRegex(match.regex, value);
    if (judged === "match") return judged;
    if (judged === "unjudged") verdict = judged;
  }
  return verdict;
}

const SLASH = 0x2f;
