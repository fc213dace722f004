import assert from "node:assert/strict";
import { parseIp, type Ip } from "../../src/addr/ip.ts";
import { compileRegex } from "../../src/policy/regex.ts";
import type { RequestView } from "../../src/policy/request-view.ts";
import type { HttpMatch, Regex } from "../../src/policy/route-match.ts";
import { headerField, headerName, type HeaderField } from "../../src/wire/header-field.ts";

/** Fields from `[name, value]` pairs. */
export function fields(...pairs: readonly (readonly [string, string])[]): HeaderField[] {
  return pairs.map(([name, value]) => headerField(headerName(name), value));
}

export interface RequestText {
  readonly method?: string;
  readonly scheme?: string;
  readonly authority?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [string, string])[];
}

/** A request as policy sees it. Without a path it is a CONNECT-like one; the method defaults to GET. */
export function request(text: RequestText): RequestView & { fields: HeaderField[] } {
  return {
    method: headerField(headerName(":method"), text.method ?? "GET"),
    scheme: field(":scheme", text.scheme),
    authority: field(":authority", text.authority),
    path: field(":path", text.path),
    fields: fields(...(text.headers ?? [])),
  };
}

function field(name: string, value: string | undefined): HeaderField | undefined {
  return value === undefined ? undefined : headerField(headerName(name), value);
}

export function regex(source: string): Regex {
  const compiled = compileRegex(source);
  assert.ok(compiled.ok, compiled.ok ? "" : compiled.problem);
  return compiled.value;
}

export function ip(text: string): Ip {
  const result = parseIp(text);
  assert.ok(result.ok);
  return result.value;
}

/** A match with the given conditions and no others. */
export function httpMatch(conditions: Partial<HttpMatch>): HttpMatch {
  return { path: undefined, headers: [], query: [], method: undefined, ...conditions };
}
