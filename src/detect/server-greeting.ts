/** What a server that speaks before its client shows itself to be. */
export type ServerGreeting =
  /** Its protocol begins with the server: it is not HTTP. */
  | "server_first"
  /** HTTP, which says nothing about what the client will speak: HTTP/2 servers need not wait, and HTTP/1 servers may lose patience (408). */
  | "http";

const HTTP1_START = Buffer.from("HTTP/1.");

const FRAME_HEADER_BYTES = 9;
const FRAME_TYPE_SETTINGS = 4;
const SETTING_BYTES = 6;
/** No peer may send a larger frame before it has read our SETTINGS. Source: RFC 9113 section 4.2. */
const FRAME_BYTES_MAX = 16 * 1024;

/**
 * Judges the first bytes of a server whose client has not said anything.
 *
 * @param bytes everything received so far; at least one.
 * @returns undefined while the bytes could still become the start of an HTTP/1 response or of an HTTP/2 connection; at
 * most `FRAME_HEADER_BYTES` are asked for.
 *
 * Source: RFC 9112 section 4 (status line), RFC 9113 section 3.4 (a SETTINGS frame comes first, and may come at once).
 */
export function judgeServerGreeting(bytes: Uint8Array): ServerGreeting | undefined {
  const http1 = beginsLikeHttp1(bytes);
  if (http1 && bytes.length >= HTTP1_START.length) return "http";
  const http2 = beginsLikeSettings(bytes);
  if (http2 && bytes.length >= FRAME_HEADER_BYTES) return "http";
  return http1 || http2 ? undefined : "server_first";
}

function beginsLikeHttp1(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, HTTP1_START.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== HTTP1_START[i]) return false;
  return true;
}

/** Length (3), type, flags, stream id (4): whole settings on stream 0, and no acknowledgement. */
function beginsLikeSettings(b: Uint8Array): boolean {
  const n = b.length;
  if (n > 0 && b[0] !== 0) return false;
  if (n > 2) {
    const length = ((b[1] ?? 0) << 8) | (b[2] ?? 0);
    if (length > FRAME_BYTES_MAX || length % SETTING_BYTES !== 0) return false;
  }
  if (n > 3 && b[3] !== FRAME_TYPE_SETTINGS) return false;
  for (let i = 4; i < Math.min(n, FRAME_HEADER_BYTES); i++) if (b[i] !== 0) return false;
  return true;
}
