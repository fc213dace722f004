import { hasDnsSuffix } from "../addr/dns-name.ts";
import { formatNameAddr, type NameAddr } from "../addr/name-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";

/**
 * The target that a transport header names, if this gateway may reach it: a name under one of `suffixes`, at a boundary of
 * labels, trailing dots apart. "." is above every name; without suffixes nothing is reached.
 *
 * Source: linkerd2-proxy, linkerd/app/gateway/src/discover.rs (allow_discovery).
 */
export function gatewayTarget(name: NameAddr, suffixes: readonly string[]): Parsed<NameAddr> {
  if (suffixes.some((suffix) => hasDnsSuffix(name.name, suffix))) return parsed(name);
  return unparsed(`${formatNameAddr(name)} is not among the names that this gateway reaches`);
}

/** Refused by name: 404 in HTTP, closed otherwise. */
export function domainInvalid(problem: string): ProxyError {
  return new ProxyError("gateway_domain_invalid", problem, { side: "proxy" });
}
