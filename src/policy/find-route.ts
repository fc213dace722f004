import { assertNever } from "../parsed.ts";
import { grpcRequestParts, matchGrpc, type GrpcRequestParts } from "./grpc-match.ts";
import { hostMatchers, rankHost, type HostMatcher } from "./host-match.ts";
import { HttpRequestParts, matchHttp, prefixLength } from "./http-match.ts";
import { hostOfAuthority, type RequestView } from "./request-view.ts";
import type { GrpcMatch, HttpMatch, Route } from "./route-match.ts";
import type { Verdict } from "./verdict.ts";

type AnyRoute<Match> = Route<Match, { readonly matches: readonly Match[] }>;

/**
 * What a request was found to match. One object per route, rule and match for the life of a table, so that stacks and
 * counters may be kept by it.
 */
export interface RouteMatch<R extends AnyRoute<unknown>> {
  readonly route: R;
  readonly rule: R["rules"][number];
  /** Characters at the start of the path that a path prefix matched; undefined if the match is of another kind. */
  readonly prefixLength: number | undefined;
}

/** The rank of a match under its host, greater first: path or service, then the others in order. */
interface Rank {
  /** Characters of the path or service that are matched; `WHOLE_PATH` for as many as the path has. */
  readonly length: number;
  readonly methodLength: number;
  readonly headers: number;
  readonly query: number;
  readonly hasMethod: number;
}

interface Candidate<Match, R extends AnyRoute<unknown>> {
  /** Undefined for a rule without matches, which takes everything. */
  readonly match: Match | undefined;
  readonly rank: Rank;
  readonly found: RouteMatch<R>;
}

interface Entry<Match, R extends AnyRoute<unknown>> {
  readonly hosts: readonly HostMatcher[];
  readonly candidates: readonly Candidate<Match, R>[];
}

const WHOLE_PATH = -1;

/** How one kind of route reads requests. `parts` is undefined for a request that no route of the kind can take. */
interface Matching<Match, Parts> {
  parts(request: RequestView): Parts | undefined;
  pathLength(parts: Parts): number;
  matches(match: Match, parts: Parts): Verdict;
  rank(match: Match | undefined): Rank;
  prefixLength(match: Match | undefined): number | undefined;
  /** Whether the match holds for whatever request. */
  takesAll(match: Match | undefined): boolean;
}

/**
 * The routes of one snapshot, ready for searching.
 *
 * Preference: host (exact, then longer suffix, then any), then what was matched, then list order: routes, then rules.
 *
 * Source: linkerd2-proxy, linkerd/http/route/src/lib.rs.
 */
export class RouteTable<Match, R extends AnyRoute<Match>, Parts> {
  readonly #matching: Matching<Match, Parts>;
  readonly #entries: readonly Entry<Match, R>[];
  readonly #looksAtHost: boolean;
  /** The answer to every request, where the routes leave no choice: the commonest case by far. */
  readonly #always: RouteMatch<R> | undefined;

  constructor(matching: Matching<Match, Parts>, routes: readonly R[]) {
    this.#matching = matching;
    this.#entries = routes.map((route) => ({
      hosts: hostMatchers(route.hosts),
      candidates: rulesOf<Match, R>(route).flatMap((rule) => candidatesOf(matching, route, rule)),
    }));
    this.#looksAtHost = routes.some((route) => route.hosts.length > 0);
    const [entry, ...otherEntries] = this.#entries;
    const [candidate, ...otherCandidates] = entry?.candidates ?? [];
    const alone = otherEntries.length === 0 && otherCandidates.length === 0 && !this.#looksAtHost;
    this.#always =
      alone && candidate !== undefined && matching.takesAll(candidate.match) ? candidate.found : undefined;
  }

  /**
   * The best match of a request. Undefined if nothing matches, and also if a value is too long for a pattern that
   * would have decided: to answer "no route" is safe, to fall through to a wider rule is not.
   */
  find(request: RequestView): RouteMatch<R> | undefined {
    if (this.#always !== undefined) return this.#always;
    const parts = this.#matching.parts(request);
    if (parts === undefined) return undefined;
    const authority = this.#looksAtHost ? request.authority : undefined;
    const host = authority === undefined ? undefined : hostOfAuthority(authority.value).toLowerCase();
    const pathLength = this.#matching.pathLength(parts);
    let best: Candidate<Match, R> | undefined;
    let bestHost = -1;
    let unjudged: Candidate<Match, R> | undefined;
    for (const entry of this.#entries) {
      const hostRank = rankHost(entry.hosts, host);
      if (hostRank < bestHost || hostRank < 0) continue;
      for (const candidate of entry.candidates) {
        const better =
          hostRank > bestHost || best === undefined || isAbove(candidate.rank, best.rank, pathLength);
        if (!better) continue;
        const verdict =
          candidate.match === undefined ? "match" : this.#matching.matches(candidate.match, parts);
        if (verdict === "no_match") continue;
        best = candidate;
        bestHost = hostRank;
        unjudged = verdict === "unjudged" ? candidate : undefined;
      }
    }
    return best === undefined || best === unjudged ? undefined : best.found;
  }
}

/** The routes of an HTTP policy, searchable. */
export type HttpRouteTable<R extends AnyRoute<HttpMatch>> = RouteTable<HttpMatch, R, HttpRequestParts>;

/** The routes of a gRPC policy, searchable. Only POST requests to `/service/method` ever match. */
export type GrpcRouteTable<R extends AnyRoute<GrpcMatch>> = RouteTable<GrpcMatch, R, GrpcRequestParts>;

export function httpRouteTable<R extends AnyRoute<HttpMatch>>(routes: readonly R[]): HttpRouteTable<R> {
  return new RouteTable(HTTP, routes);
}

export function grpcRouteTable<R extends AnyRoute<GrpcMatch>>(routes: readonly R[]): GrpcRouteTable<R> {
  return new RouteTable(GRPC, routes);
}

function rulesOf<Match, R extends AnyRoute<Match>>(route: R): readonly R["rules"][number][] {
  return route.rules;
}

function candidatesOf<Match, R extends AnyRoute<Match>>(
  matching: Matching<Match, unknown>,
  route: R,
  rule: R["rules"][number],
): Candidate<Match, R>[] {
  const matches: readonly (Match | undefined)[] = rule.matches.length === 0 ? [undefined] : rule.matches;
  return matches.map((match) => ({
    match,
    rank: matching.rank(match),
    found: { route, rule, prefixLength: matching.prefixLength(match) },
  }));
}

function isAbove(a: Rank, b: Rank, pathLength: number): boolean {
  const aLength = a.length === WHOLE_PATH ? pathLength : a.length;
  const bLength = b.length === WHOLE_PATH ? pathLength : b.length;
  if (aLength !== bLength) return aLength > bLength;
  if (a.methodLength !== b.methodLength) return a.methodLength > b.methodLength;
  if (a.headers !== b.headers) return a.headers > b.headers;
  if (a.query !== b.query) return a.query > b.query;
  return a.hasMethod > b.hasMethod;
}

/** A match without a path counts as the path prefix "/". */
const ROOT_LENGTH = 1;

const HTTP: Matching<HttpMatch, HttpRequestParts> = {
  parts: (request) => new HttpRequestParts(request),
  pathLength: (parts) => parts.pathLength,
  matches: matchHttp,
  rank: (match) => ({
    length: httpLength(match),
    methodLength: 0,
    headers: match?.headers.length ?? 0,
    query: match?.query.length ?? 0,
    hasMethod: match?.method === undefined ? 0 : 1,
  }),
  prefixLength: (match) => {
    if (match?.path === undefined) return ROOT_LENGTH;
    return match.path.kind === "prefix" ? prefixLength(match.path.prefix) : undefined;
  },
  takesAll: (match) =>
    match === undefined ||
    (match.method === undefined &&
      match.headers.length === 0 &&
      match.query.length === 0 &&
      (match.path === undefined || (match.path.kind === "prefix" && match.path.prefix === "/"))),
};

function httpLength(match: HttpMatch | undefined): number {
  if (match?.path === undefined) return ROOT_LENGTH;
  switch (match.path.kind) {
    case "exact":
      return match.path.path.length;
    case "prefix":
      return prefixLength(match.path.prefix);
    case "regex":
      return WHOLE_PATH;
    default:
      return assertNever(match.path);
  }
}

const GRPC: Matching<GrpcMatch, GrpcRequestParts> = {
  parts: grpcRequestParts,
  pathLength: () => 0,
  matches: matchGrpc,
  rank: (match) => ({
    length: match?.service?.length ?? 0,
    methodLength: match?.method?.length ?? 0,
    headers: match?.headers.length ?? 0,
    query: 0,
    hasMethod: 0,
  }),
  prefixLength: () => undefined,
  takesAll: () => false,
};
