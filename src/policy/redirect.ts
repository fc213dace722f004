import { parsed, unparsed, type Parsed } from "../parsed.ts";
import type { Filter, PathModifier } from "./filter.ts";
import { endOfPath, portOfAuthority, type RequestView } from "./request-view.ts";

type Redirect = Extract<Filter, { kind: "redirect" }>;

/**
 * Where a redirect sends a request; undefined if that is where the request already went, so that nothing is to be done.
 *
 * @param prefixLength characters of the path that the rule's path prefix matched; undefined if it matched otherwise.
 * @returns a problem if a prefix is to be replaced where none matched, or if nobody names a host.
 *
 * Source: linkerd2-proxy, linkerd/http/route/src/http/filter/redirect.rs.
 */
export function redirectLocation(
  redirect: Redirect,
  request: RequestView,
  prefixLength: number | undefined,
): Parsed<string | undefined> {
  const path = redirectedPath(redirect.path, request.path?.value ?? "/", prefixLength);
  if (!path.ok) return path;
  const originalScheme = request.scheme?.value ?? "http";
  const original = request.authority?.value;
  const scheme = redirect.scheme ?? originalScheme;
  const authority = redirectedAuthority(redirect, original, scheme);
  if (authority === undefined) return unparsed("redirect: neither the filter nor the request names a host");
  const location = `${scheme}://${authority}${path.value}`;
  const here = `${originalScheme}://${original ?? ""}${request.path?.value ?? "/"}`;
  return parsed(location === here ? undefined : location);
}

function redirectedAuthority(
  redirect: Redirect,
  original: string | undefined,
  scheme: string,
): string | undefined {
  const { host, port } = redirect;
  if (host === undefined && port === undefined) return original;
  if (host !== undefined && port !== undefined) return `${host}:${port}`;
  if (host !== undefined) {
    const originalPort = original === undefined ? undefined : portOfAuthority(original);
    return originalPort === undefined ? host : withPort(host, Number(originalPort), scheme);
  }
  if (original === undefined) return undefined;
  const originalPort = portOfAuthority(original);
  const originalHost = originalPort === undefined ? original : original.slice(0, -1 - originalPort.length);
  return port === undefined ? originalHost : withPort(originalHost, port, scheme);
}

function withPort(host: string, port: number, scheme: string): string {
  return port === DEFAULT_PORTS.get(scheme) ? host : `${host}:${port}`;
}

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ["http", 80],
  ["https", 443],
]);

/** The new path and query. Behind a replaced prefix the rest stays; a full path brings its own query, or none. */
function redirectedPath(
  modifier: PathModifier | undefined,
  target: string,
  prefixLength: number | undefined,
): Parsed<string> {
  if (modifier === undefined) return parsed(target);
  const end = endOfPath(target);
  const query = target.slice(end);
  if (modifier.kind === "full") return parsed(modifier.path);
  if (prefixLength === undefined) {
    return unparsed("redirect: a path prefix is to be replaced, but the rule matched no prefix");
  }
  return parsed(replacePrefix(target.slice(prefixLength, end), modifier.replacement) + query);
}

function replacePrefix(rest: string, replacement: string): string {
  const base = replacement.startsWith("/") ? replacement : `/${replacement}`;
  if (rest === "") return base;
  const joint = rest.startsWith("/") ? rest : `/${rest}`;
  return (base.endsWith("/") ? base.slice(0, -1) : base) + joint;
}
