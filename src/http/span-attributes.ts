import { L5D_ORIG_PROTO } from "../headers.ts";
import { findField, headerName } from "../wire/header-field.ts";
import { isHost } from "../wire/http1/host.ts";
import { SPAN_ATTRIBUTE_CHARS } from "../wire/limits.ts";
import type { RequestHead } from "./message.ts";

/** Headers that are told: many others hold secrets. */
const TOLD_HEADERS = [
  [headerName("user-agent"), "user_agent.original"],
  [headerName("content-length"), "http.request.header.content-length"],
  [headerName("content-type"), "http.request.header.content-type"],
  [headerName(L5D_ORIG_PROTO), "http.request.header.l5d-orig-proto"],
] as const;
const FORWARDED_HOST = headerName("x-forwarded-host");
const HOST = headerName("host");

export const STATUS_ATTRIBUTE = "http.response.status_code";

/** The path without its query: what the span of a request is called. */
export function spanName({ path }: RequestHead): string {
  return split(shown(path?.value ?? "")).path;
}

/**
 * What a span tells of its request, in the names of OpenTelemetry's conventions. The scheme is told with the authority
 * alone, as a URL needs both.
 *
 * Source: linkerd2-proxy, linkerd/trace-context/src/service.rs; opentelemetry.io, specs/semconv/http/http-spans.
 */
export function requestAttributes(head: RequestHead): [string, string][] {
  const { authority, fields } = head;
  const scheme = authority === undefined ? undefined : head.scheme;
  const target = shown(head.path?.value ?? "");
  const { path, query } = split(target);
  const found: [string, string][] = [["http.request.method", shown(head.method.value)]];
  if (scheme !== undefined) found.push(["url.scheme", scheme.value]);
  found.push(["url.path", path]);
  if (query !== undefined) found.push(["url.query", query]);
  const prefix = scheme === undefined ? "" : `${scheme.value}://`;
  // Before anything is cut: half a secret is one still.
  const host = authority === undefined ? "" : shown(withoutCredentials(authority.value));
  found.push(["url.full", `${prefix}${host}${target}`], ["network.transport", "tcp"]);
  const server = (findField(fields, FORWARDED_HOST) ?? findField(fields, HOST))?.value;
  if (server !== undefined && isHost(server, false)) {
    const colon = /:[0-9]*$/.exec(server)?.index ?? server.length;
    found.push(["server.address", shown(server.slice(0, colon))]);
    if (colon + 1 < server.length) found.push(["server.port", server.slice(colon + 1)]);
  }
  for (const [name, attribute] of TOLD_HEADERS) {
    const field = findField(fields, name);
    if (field !== undefined) found.push([attribute, shown(field.value)]);
  }
  return found;
}

function split(target: string): { readonly path: string; readonly query: string | undefined } {
  const mark = target.indexOf("?");
  if (mark < 0) return { path: target, query: undefined };
  return { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

function withoutCredentials(authority: string): string {
  const at = authority.lastIndexOf("@");
  if (at < 0) return authority;
  const stand = authority.slice(0, at).includes(":") ? "REDACTED:REDACTED@" : "REDACTED@";
  return `${stand}${authority.slice(at + 1)}`;
}

/** Bytes that a stranger chose, as text: cut, and what is no UTF-8 replaced. A copy, where the original is long. */
function shown(value: string): string {
  if (value.length <= SPAN_ATTRIBUTE_CHARS && !/[\u0080-\uffff]/.test(value)) return value;
  return Buffer.from(value.slice(0, SPAN_ATTRIBUTE_CHARS), "latin1").toString("utf8");
}
