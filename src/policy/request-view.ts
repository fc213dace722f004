import type { HeaderField } from "../wire/header-field.ts";

/** What policy looks at in a request. `RequestHead` of the HTTP side is one as it stands. */
export interface RequestView {
  readonly method: HeaderField;
  /** Undefined when an HTTP/1 request did not tell. */
  readonly scheme: HeaderField | undefined;
  readonly authority: HeaderField | undefined;
  /** Path and query as received; undefined for CONNECT. */
  readonly path: HeaderField | undefined;
  readonly fields: readonly HeaderField[];
}

/**
 * The host of an authority as written: without user information, port and the brackets of an IPv6 address.
 *
 * An authority that is no `host[:port]` gives back some text that no policy names; it is the codec that refuses it.
 */
export function hostOfAuthority(authority: string): string {
  const start = authority.lastIndexOf("@") + 1;
  if (authority.charCodeAt(start) === OPEN_BRACKET) {
    const close = authority.indexOf("]", start);
    return close < 0 ? authority.slice(start) : authority.slice(start + 1, close);
  }
  const colon = authority.indexOf(":", start);
  return colon < 0 && start === 0 ? authority : authority.slice(start, colon < 0 ? undefined : colon);
}

/** The port of an authority, as written; undefined if there is none. */
export function portOfAuthority(authority: string): string | undefined {
  const colon = authority.lastIndexOf(":");
  // A colon before the closing bracket belongs to the address.
  if (colon < 0 || colon < authority.lastIndexOf("]")) return undefined;
  return authority.slice(colon + 1);
}

/** Where the path ends and the query, if any, begins. */
export function endOfPath(target: string): number {
  const mark = target.indexOf("?");
  return mark < 0 ? target.length : mark;
}

const OPEN_BRACKET = 0x5b;
