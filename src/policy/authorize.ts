import { cidrContains } from "../addr/cidr.ts";
import type { Ip } from "../addr/ip.ts";
import type { Id } from "../identity/id.ts";
import { assertNever } from "../parsed.ts";
import type { Authentication, Authorization, Network } from "./server-policy.ts";

/** What authorization needs to know of a connection's TLS. `ServerTls` of the TLS side is one as it stands. */
export type ServerTlsView =
  | { readonly kind: "established"; readonly clientId: Id | undefined }
  | { readonly kind: "passthru" }
  | { readonly kind: "none" };

/** The client as authorization sees it: the peer of the TCP connection, never what a header claims. */
export interface ClientView {
  readonly ip: Ip;
  readonly tls: ServerTlsView;
}

/**
 * The first authorization that holds for the client, undefined if none does.
 *
 * An authorization holds if the client is in *any* of its networks *and* is authenticated as it asks.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/policy.rs (is_authorized).
 */
export function authorize(
  authorizations: readonly Authorization[],
  client: ClientView,
): Authorization | undefined {
  for (const authorization of authorizations) {
    if (
      isInNetworks(authorization.networks, client.ip) &&
      isAuthenticated(authorization.authentication, client.tls)
    )
      return authorization;
  }
  return undefined;
}

function isInNetworks(networks: readonly Network[], ip: Ip): boolean {
  for (const { net, except } of networks) {
    if (cidrContains(net, ip) && !except.some((excepted) => cidrContains(excepted, ip))) return true;
  }
  return false;
}

function isAuthenticated(authentication: Authentication, tls: ServerTlsView): boolean {
  switch (authentication.kind) {
    case "unauthenticated":
      return true;
    case "tls_unauthenticated":
      // Bytes passed through under somebody else's TLS prove nothing to us.
      return tls.kind === "established";
    case "tls_authenticated": {
      const id = tls.kind === "established" ? tls.clientId : undefined;
      if (id === undefined) return false;
      if (authentication.identities.has(id.text)) return true;
      // A URI's end says nothing about who issued it: only names are matched by suffix.
      return id.kind === "dns" && authentication.suffixes.some((suffix) => id.text.endsWith(suffix));
    }
    default:
      return assertNever(authentication);
  }
}
