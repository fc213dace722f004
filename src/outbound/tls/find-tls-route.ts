import type { DnsName } from "../../addr/dns-name.ts";
import type { SniMatch } from "../../policy/client-policy.ts";
import { hostMatchers, rankHost, type HostMatcher } from "../../policy/host-match.ts";
import type { HostMatch } from "../../policy/route-match.ts";

/** A route with the names it is for, made ready for comparing. */
export interface SniEntry<T> {
  /** None: every name. */
  readonly snis: readonly HostMatcher[];
  readonly item: T;
}

/** Names are matched as hosts are: exact before suffix, longer before shorter. */
export function sniMatchers(snis: readonly SniMatch[]): readonly HostMatcher[] {
  return hostMatchers(
    snis.map((sni): HostMatch => (sni.kind === "exact" ? { kind: "exact", host: sni.name } : sni)),
  );
}

/**
 * The route for a server name: the one with the best match, the first in the list among equals. A route without names
 * takes what no other does.
 *
 * Source: linkerd2-proxy, linkerd/tls/route/src/{lib,sni}.rs.
 */
export function findTlsRoute<T>(entries: readonly SniEntry<T>[], sni: DnsName): T | undefined {
  let best: T | undefined;
  let bestRank = -1;
  for (const { snis, item } of entries) {
    const rank = rankHost(snis, sni);
    if (rank <= bestRank) continue;
    best = item;
    bestRank = rank;
  }
  return best;
}
