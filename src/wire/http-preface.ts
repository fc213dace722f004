import { isUtf8 } from "node:buffer";
import { TOKEN_BYTES } from "./http1/field-line.ts";

/** A request line not finished within this many bytes is taken for HTTP/1 as it stands: the server then judges it (PD-01). */
export const HTTP_PREFACE_BOUND_BYTES = 8 * 1024;

/** What a connection speaks, judged by its first bytes. */
export type HttpPreface = "http1" | "http2" | "not_http";

const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;

/** The part of the HTTP/2 preface that no other protocol begins with; the rest follows in the same flight. */
const HTTP2_START = Buffer.from("PRI * HTTP/2.0");

/** Every SSH client begins so (RFC 4253, section 4.2), and so far it could still be the method of a request. */
const SSH_START = Buffer.from("SSH-");

const VERSION_START = Buffer.from("HTTP/1.");

/**
 * Tells HTTP from everything else by the first bytes of a connection.
 *
 * It waits for more exactly as long as the bytes could still become a request line or the HTTP/2 preface, so that the
 * way in which a request is cut into segments does not change the answer (DEV-1), and decides at the first byte that
 * rules HTTP out. A request line is `method SP target SP HTTP/1.0|HTTP/1.1 [CR] LF`, after any number of empty lines.
 *
 * @param bytes everything received so far.
 * @returns undefined while more bytes are needed, at most until `HTTP_PREFACE_BOUND_BYTES`.
 *
 * Source: linkerd2-proxy, linkerd/http/detect/src/lib.rs for the grammar.
 */
export function detectHttpPreface(bytes: Uint8Array): HttpPreface | undefined {
  if (beginsLike(bytes, 0, HTTP2_START)) return bytes.length >= HTTP2_START.length ? "http2" : undefined;
  const line = readRequestLine(bytes);
  if (line === "partial") return bytes.length >= HTTP_PREFACE_BOUND_BYTES ? "http1" : undefined;
  return line === "whole" ? "http1" : "not_http";
}

/** Whether `expected` and what there is from `at` on agree as far as both go. */
function beginsLike(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  const length = Math.min(bytes.length - at, expected.length);
  for (let i = 0; i < length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

function readRequestLine(b: Uint8Array): "whole" | "partial" | "broken" {
  const n = b.length;
  let at = 0;
  while (at < n && (b[at] === LF || b[at] === CR)) {
    if (b[at] === CR && at + 1 < n && b[at + 1] !== LF) return "broken";
    at += b[at] === CR ? 2 : 1;
  }
  if (at >= n) return "partial";

  const method = at;
  if (n - method >= SSH_START.length && beginsLike(b, method, SSH_START)) return "broken";
  while (at < n && TOKEN_BYTES[b[at] ?? 0] === 1) at++;
  if (at >= n) return "partial";
  if (at === method || b[at] !== SPACE) return "broken";

  const target = ++at;
  while (at < n && isTargetByte(b[at] ?? 0)) at++;
  if (at >= n) return "partial";
  if (at === target || b[at] !== SPACE || !isUtf8(b.subarray(target, at))) return "broken";

  at++;
  if (!beginsLike(b, at, VERSION_START)) return "broken";
  at += VERSION_START.length;
  if (at >= n) return "partial";
  if (b[at] !== 0x30 && b[at] !== 0x31) return "broken";
  at++;
  if (b[at] === CR) at++;
  if (at >= n) return "partial";
  return b[at] === LF ? "whole" : "broken";
}

/** Visible ASCII and everything above it; whether the latter is UTF-8 shows when the target is whole. */
function isTargetByte(byte: number): boolean {
  return byte > SPACE && byte !== 0x7f;
}
