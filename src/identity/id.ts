import { parseDnsName } from "../addr/dns-name.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";

/**
 * Who a peer is: a DNS-like name (`web.shop.serviceaccount.identity.linkerd.cluster.local`) or a URI (SPIFFE).
 *
 * `text` is normalised, so that two identities are equal exactly if kind and text are.
 */
export interface Id {
  readonly kind: "dns" | "uri";
  readonly text: string;
}

/** Parses an identity: a DNS name without trailing dot, else an absolute URI. Source: linkerd2-proxy, linkerd/identity/src/lib.rs. */
export function parseId(text: string): Parsed<Id> {
  const name = parseDnsName(text);
  if (name.ok && !text.endsWith(".")) return parsed({ kind: "dns", text: name.value });
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return unparsed(`"${text}" is neither a DNS name without trailing dot nor a URI`);
  return parsed({ kind: "uri", text: url.href });
}

export function idEquals(a: Id, b: Id): boolean {
  return a.kind === b.kind && a.text === b.text;
}
