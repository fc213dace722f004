import { headerField, headerName, internField, type HeaderField } from "../header-field.ts";
import { H1_TARGET_BYTES } from "../limits.ts";
import { TOKEN_BYTES } from "./field-line.ts";
import type { HeadProblem } from "./head-problem.ts";
import { isHost } from "./host.ts";
import { LineTable } from "./line-table.ts";

/** What a request line says. Shared between requests where it was seen before, so never changed. */
export interface RequestLine {
  readonly version: 10 | 11;
  readonly method: HeaderField;
  readonly scheme: HeaderField | undefined;
  readonly authority: HeaderField | undefined;
  /** Undefined for CONNECT. */
  readonly path: HeaderField | undefined;
  readonly absoluteForm: boolean;
}

const METHOD = headerName(":method");
const SCHEME = headerName(":scheme");
const AUTHORITY = headerName(":authority");
const PATH = headerName(":path");

const METHODS = new Map<string, HeaderField>();
for (const text of ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]) {
  METHODS.set(text, internField(METHOD, text));
}
const SCHEMES = new Map<string, HeaderField>();
for (const text of ["http", "https"]) SCHEMES.set(text, internField(SCHEME, text));

const REQUEST_LINES = 1_024;
const requestLines = new LineTable<RequestLine>(REQUEST_LINES);

const SPACE = 0x20;
const SLASH = 0x2f;
const HASH = 0x23;
const VERSION_BYTES = 8;

/**
 * A request line without its line end. Strict: single spaces, HTTP/1.0 or 1.1 in upper case, a target of printable
 * ASCII in the form that the method allows. A fragment of a path or URI is cut off; the path is otherwise kept byte for
 * byte.
 *
 * Source: RFC 9112 section 3.
 */
export function parseRequestLine(
  buffer: Buffer,
  start: number,
  end: number,
  hash: number,
): RequestLine | HeadProblem {
  const known = requestLines.find(buffer, start, end, hash);
  if (known !== undefined) return known.value;
  let at = start;
  while (at < end && TOKEN_BYTES[buffer[at] ?? 0] === 1) at++;
  const methodEnd = at;
  const versionStart = end - VERSION_BYTES;
  if (methodEnd === start || methodEnd === end || buffer[methodEnd] !== SPACE)
    return malformed("the method is no token");
  const targetStart = methodEnd + 1;
  const targetEnd = versionStart - 1;
  if (targetEnd - targetStart > H1_TARGET_BYTES) return TARGET_TOO_LONG;
  if (targetEnd <= targetStart || buffer[targetEnd] !== SPACE)
    return malformed("the request line is not three words");
  const version = parseVersion(buffer, versionStart);
  if (version === undefined) return malformed("the version is neither HTTP/1.0 nor HTTP/1.1");
  let pathEnd = targetEnd;
  for (let i = targetStart; i < targetEnd; i++) {
    const byte = buffer[i] ?? 0;
    if (byte <= 0x20 || byte >= 0x7f) return malformed("the target has a byte that is not printable ASCII");
    if (byte === HASH && pathEnd === targetEnd) pathEnd = i;
  }
  const methodText = buffer.toString("latin1", start, methodEnd);
  const method = METHODS.get(methodText) ?? headerField(METHOD, methodText);
  if (buffer[targetStart] !== SLASH || methodText === "CONNECT" || pathEnd === targetStart) {
    return otherForm(buffer.toString("latin1", targetStart, targetEnd), method, version);
  }
  const path = buffer.toString("latin1", targetStart, pathEnd);
  const admitted = requestLines.admits(end - start, hash);
  const line: RequestLine = {
    version,
    method,
    scheme: undefined,
    authority: undefined,
    path: admitted ? internField(PATH, path) : headerField(PATH, path),
    absoluteForm: false,
  };
  if (admitted) requestLines.keep(buffer, start, end, hash, line);
  return line;
}

/** Absolute-form, authority-form and asterisk-form: for proxies, tunnels and OPTIONS. */
function otherForm(target: string, method: HeaderField, version: 10 | 11): RequestLine | HeadProblem {
  if (method.value === "CONNECT") {
    if (version === 10) return malformed("CONNECT in HTTP/1.0");
    if (!isHost(target, true)) return malformed("the target of CONNECT is not host:port");
    const authority = headerField(AUTHORITY, target);
    return { version, method, scheme: undefined, authority, path: undefined, absoluteForm: false };
  }
  if (target === "*") {
    if (method.value !== "OPTIONS") return malformed("the target * is for OPTIONS alone");
    const path = internField(PATH, "*");
    return { version, method, scheme: undefined, authority: undefined, path, absoluteForm: false };
  }
  const colon = target.indexOf("://");
  const scheme = target.slice(0, Math.max(colon, 0)).toLowerCase();
  if (!isScheme(scheme)) return malformed("the target is neither a path nor an absolute URI");
  const fragment = target.indexOf("#", colon);
  const rest = target.slice(colon + 3, fragment === -1 ? target.length : fragment);
  let authorityEnd = 0;
  while (authorityEnd < rest.length && !isAuthorityEnd(rest.charCodeAt(authorityEnd))) authorityEnd++;
  const authority = rest.slice(0, authorityEnd);
  if (!isHost(authority, false)) return malformed("the absolute target has no valid host");
  let path = rest.slice(authorityEnd);
  if (path === "") path = method.value === "OPTIONS" ? "*" : "/";
  else if (path.charCodeAt(0) !== SLASH) path = `/${path}`;
  return {
    version,
    method,
    scheme: SCHEMES.get(scheme) ?? headerField(SCHEME, scheme),
    authority: headerField(AUTHORITY, authority),
    path: headerField(PATH, path),
    absoluteForm: true,
  };
}

/** The version in the eight bytes from `start`; undefined for everything but 1.0 and 1.1. */
export function parseVersion(buffer: Buffer, start: number): 10 | 11 | undefined {
  for (let i = 0; i < HTTP_1_DOT.length; i++) if (buffer[start + i] !== HTTP_1_DOT[i]) return undefined;
  const minor = buffer[start + HTTP_1_DOT.length];
  if (minor === 0x31) return 11;
  return minor === 0x30 ? 10 : undefined;
}

const HTTP_1_DOT = Buffer.from("HTTP/1.", "latin1");

function isAuthorityEnd(char: number): boolean {
  return char === SLASH || char === 0x3f;
}

function isScheme(text: string): boolean {
  const first = text.charCodeAt(0);
  if (!(first >= 0x61 && first <= 0x7a)) return false;
  for (let i = 1; i < text.length; i++) {
    const char = text.charCodeAt(i);
    const isAlphanumeric = (char >= 0x61 && char <= 0x7a) || (char >= 0x30 && char <= 0x39);
    if (!isAlphanumeric && char !== 0x2b && char !== 0x2d && char !== 0x2e) return false;
  }
  return true;
}

const TARGET_TOO_LONG: HeadProblem = { status: 414, problem: "the request target is too long" };

function malformed(problem: string): HeadProblem {
  return { status: 400, problem };
}
