import type { HttpVersion } from "./message.ts";

export type AccessLogFormat = "apache" | "json";

/** A request as its client sent it. Header values are latin1 text, "" where there is none. */
export interface LoggedRequest {
  /** RFC 3339, UTC: when the request was received. */
  readonly timestamp: string;
  readonly clientAddr: string;
  /** The verified identity, or `-`. */
  readonly clientId: string;
  readonly method: string;
  /** As received: HTTP/2 and absolute-form with scheme and authority, origin-form the path alone, CONNECT the authority. */
  readonly uri: string;
  readonly version: HttpVersion;
  readonly host: string;
  readonly userAgent: string;
  readonly traceId: string;
  /** The text of `content-length`. */
  readonly requestBytes: string;
}

/** The head of a response. */
export interface LoggedResponse {
  readonly status: number;
  /** The text of `content-length`; undefined where there is none. */
  readonly responseBytes: string | undefined;
  /** From the request to this head. */
  readonly totalNs: number;
  /** The part of it that the proxy itself spent on the request. */
  readonly processingNs: number;
}

/** Values that strangers choose are cut: one request must not be able to fill the log. */
export const ACCESS_LOG_VALUE_MAX = 8192;

const VERSIONS = { 10: "HTTP/1.0", 11: "HTTP/1.1", 20: "HTTP/2.0" } as const;

/**
 * One request as one line, with its line end. Whatever bytes a client sent, the line is printable ASCII and its form is
 * kept: nobody can forge a second line, or a field of this one.
 *
 * @param response undefined for a request that ended without one.
 *
 * Source: linkerd2-proxy, linkerd/http/access-log/src/lib.rs, linkerd/tracing/src/access_log.rs.
 */
export function formatAccessLog(
  format: AccessLogFormat,
  request: LoggedRequest,
  response: LoggedResponse | undefined,
): string {
  return format === "json" ? jsonLine(request, response) : apacheLine(request, response);
}

function apacheLine(request: LoggedRequest, response: LoggedResponse | undefined): string {
  const { clientAddr, clientId, timestamp, method, uri, version } = request;
  const asked = `${quotable(method)} ${quotable(uri)} ${VERSIONS[version]}`;
  const status = response === undefined ? "" : ` ${response.status}`;
  return `${clientAddr} ${quotable(clientId)} - [${timestamp}] "${asked}"${status}\n`;
}

/** Members in alphabetical order. `status` is a number, everything else text. */
function jsonLine(request: LoggedRequest, response: LoggedResponse | undefined): string {
  const { clientAddr, clientId, host, method, requestBytes, timestamp, traceId, uri, userAgent, version } =
    request;
  let line = `{"client.addr":${json(clientAddr)},"client.id":${json(clientId)},"host":${json(host)}`;
  line += `,"method":${json(method)}`;
  if (response !== undefined) line += `,"processing_ns":"${response.processingNs}"`;
  line += `,"request_bytes":${json(requestBytes)}`;
  if (response?.responseBytes !== undefined) line += `,"response_bytes":${json(response.responseBytes)}`;
  if (response !== undefined) line += `,"status":${response.status}`;
  line += `,"timestamp":"${timestamp}"`;
  if (response !== undefined) line += `,"total_ns":"${response.totalNs}"`;
  line += `,"trace_id":${json(traceId)},"uri":${json(uri)},"user_agent":${json(userAgent)}`;
  return `${line},"version":"${VERSIONS[version]}"}\n`;
}

/** Text without quotes, backslashes and anything but printable ASCII: almost all of it. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
const NOT_ASCII = /[\x7f-\uffff]/g;

function json(text: string): string {
  const shown = shorten(text);
  if (PLAIN.test(shown)) return `"${shown}"`;
  return JSON.stringify(shown).replace(NOT_ASCII, (c) => `\\u${hex(c).padStart(4, "0")}`);
}

const SPECIAL = /["\\]|[^\x20-\x7e]/g;

/** Escaped as Apache does it. Source: httpd, server/util.c (ap_escape_logitem). */
function quotable(text: string): string {
  const shown = shorten(text);
  if (PLAIN.test(shown)) return shown;
  return shown.replace(SPECIAL, (c) =>
    c === '"' || c === "\\" ? `\\${c}` : `\\x${hex(c).padStart(2, "0")}`,
  );
}

function hex(character: string): string {
  return character.charCodeAt(0).toString(16);
}

function shorten(text: string): string {
  return text.length <= ACCESS_LOG_VALUE_MAX ? text : `${text.slice(0, ACCESS_LOG_VALUE_MAX)}...`;
}
