import type { HostMatch } from "./route-match.ts";

/** Ranks hosts: 0 for "any host", suffixes by length, every exact name above every suffix. */
const EXACT_RANK = 2 ** 20;
const SUFFIX_RANK = 1;

/** A host condition made ready for comparing with lower-case hosts. */
export class HostMatcher {
  readonly rank: number;
  /** The whole name, or the suffix with its leading dot. */
  readonly #text: string;
  readonly #isSuffix: boolean;

  constructor(match: HostMatch) {
    this.#isSuffix = match.kind === "suffix";
    if (match.kind === "exact") {
      this.#text = withoutBrackets(match.host.toLowerCase());
      this.rank = EXACT_RANK + this.#text.length;
    } else {
      this.#text = match.reverseLabels
        .map((label) => `.${label.toLowerCase()}`)
        .reverse()
        .join("");
      this.rank = SUFFIX_RANK + this.#text.length;
    }
  }

  /**
   * @param host in lower case, without port and brackets. One trailing dot is ignored unless the pattern has one.
   *
   * Source: linkerd2-proxy, linkerd/http/route/src/http/match/host.rs.
   */
  matches(host: string): boolean {
    const bare = host.endsWith(".") && !this.#text.endsWith(".") ? host.slice(0, -1) : host;
    if (!this.#isSuffix) return bare === this.#text;
    // Longer than the suffix: at least one more label is there.
    return bare.length > this.#text.length && bare.endsWith(this.#text);
  }
}

function withoutBrackets(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}

/** Makes the matchers of a route's hosts. */
export function hostMatchers(hosts: readonly HostMatch[]): readonly HostMatcher[] {
  return hosts.map((host) => new HostMatcher(host));
}

/**
 * Ranks a route for a host: the best of its conditions that hold, 0 for a route without conditions, -1 for no match.
 *
 * @param host in lower case; undefined if the request names none.
 */
export function rankHost(matchers: readonly HostMatcher[], host: string | undefined): number {
  if (matchers.length === 0) return 0;
  let best = -1;
  if (host === undefined) return best;
  for (const matcher of matchers) {
    if (matcher.rank > best && matcher.matches(host)) best = matcher.rank;
  }
  return best;
}
