import { parseDnsName, type DnsName } from "../addr/dns-name.ts";

/**
 * Bytes of a ClientHello record that are ever looked at, its header included; post-quantum hellos have about 1.8 KB.
 *
 * The record is the model's, so that both pass the same hellos by; LIM-21 would allow twice as much.
 */
export const CLIENT_HELLO_BOUND_BYTES = 5 + 8192;

/** What the first bytes of a connection say about TLS. */
export type ClientHello =
  /** `alpn` in the client's order; empty if it offers none. */
  | { readonly kind: "sni"; readonly name: DnsName; readonly alpn: readonly string[] }
  /** A ClientHello that names nobody, or somebody whose name is no DNS name: it cannot be for us. */
  | { readonly kind: "no_sni"; readonly alpn: readonly string[] }
  | { readonly kind: "not_tls" };

const NOT_TLS: ClientHello = { kind: "not_tls" };

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
const RECORD_HANDSHAKE = 0x16;
const HANDSHAKE_CLIENT_HELLO = 0x01;
const RANDOM_BYTES = 32;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const NAME_TYPE_HOST = 0;

/**
 * Looks for a TLS ClientHello at the start of a connection. Reads nothing twice that matters: call it again with all
 * bytes when more came.
 *
 * Only a hello that fills one record exactly is recognised. One split over records, or followed by more in its record,
 * is passed by as "not TLS" instead of being waited for: no client of the mesh sends it.
 *
 * @param bytes everything received so far.
 * @returns undefined while more bytes are needed, at most until `CLIENT_HELLO_BOUND_BYTES`.
 *
 * Source: linkerd2-proxy, linkerd/tls/src/server/client_hello.rs; RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301.
 */
export function parseClientHello(bytes: Uint8Array): ClientHello | undefined {
  if (!mayBeHello(bytes)) return NOT_TLS;
  if (bytes.length < RECORD_HEADER_BYTES) return undefined;
  const end = RECORD_HEADER_BYTES + u16(bytes, 3);
  if (bytes.length < end) return undefined;
  return readHello(bytes, end) ?? NOT_TLS;
}

/** Whether the bytes so far are, or begin, the fixed part of a ClientHello record of acceptable lengths. */
function mayBeHello(b: Uint8Array): boolean {
  const n = b.length;
  if (n > 0 && b[0] !== RECORD_HANDSHAKE) return false;
  if (n > 1 && b[1] !== 3) return false;
  // 1.0 for compatibility or 1.2: what clients of TLS 1.2 and 1.3 write.
  if (n > 2 && b[2] !== 1 && b[2] !== 3) return false;
  if (n < RECORD_HEADER_BYTES) return true;
  const recordLength = u16(b, 3);
  if (recordLength < HANDSHAKE_HEADER_BYTES) return false;
  if (recordLength > CLIENT_HELLO_BOUND_BYTES - RECORD_HEADER_BYTES) return false;
  if (n > 5 && b[5] !== HANDSHAKE_CLIENT_HELLO) return false;
  if (n > 6 && b[6] !== 0) return false;
  if (n > 8 && u16(b, 7) !== recordLength - HANDSHAKE_HEADER_BYTES) return false;
  if (n > 9 && b[9] !== 3) return false;
  return n <= 10 || b[10] === 3;
}

/** Reads the whole record; undefined if a length leads out of it. */
function readHello(b: Uint8Array, end: number): ClientHello | undefined {
  let at = RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES + 2 + RANDOM_BYTES;
  at = afterVector8(b, at, end);
  at = afterVector16(b, at, end);
  at = afterVector8(b, at, end);
  if (at < 0) return undefined;
  if (at === end) return { kind: "no_sni", alpn: [] };
  if (afterVector16(b, at, end) !== end) return undefined;
  at += 2;
  let host: string | undefined;
  let alpn: readonly string[] | undefined;
  while (at < end) {
    const next = afterVector16(b, at + 2, end);
    const type = u16(b, at);
    if (next >= 0 && type === EXTENSION_SERVER_NAME && host === undefined) {
      host = readServerName(b, at + 4, next);
      if (host === undefined) return undefined;
    } else if (next >= 0 && type === EXTENSION_ALPN && alpn === undefined) {
      alpn = readAlpn(b, at + 4, next);
    }
    if (next < 0) {
      // Once a name was read it decides, whatever follows it: a hello for us must not reach the application as bytes.
      if (host === undefined) return undefined;
      break;
    }
    at = next;
  }
  const name = host === undefined ? undefined : parseDnsName(host);
  if (name?.ok === true) return { kind: "sni", name: name.value, alpn: alpn ?? [] };
  return { kind: "no_sni", alpn: alpn ?? [] };
}

/** The first entry of the list; only host names are defined. */
function readServerName(b: Uint8Array, at: number, end: number): string | undefined {
  if (afterVector16(b, at, end) !== end) return undefined;
  const entry = at + 2;
  if (entry >= end || b[entry] !== NAME_TYPE_HOST) return undefined;
  const next = afterVector16(b, entry + 1, end);
  return next < 0 ? undefined : latin1(b, entry + 3, next);
}

function readAlpn(b: Uint8Array, at: number, end: number): readonly string[] | undefined {
  if (afterVector16(b, at, end) !== end) return undefined;
  const protocols: string[] = [];
  let entry = at + 2;
  while (entry < end) {
    const next = afterVector8(b, entry, end);
    if (next < 0) return undefined;
    protocols.push(latin1(b, entry + 1, next));
    entry = next;
  }
  return protocols;
}

/** The offset after a vector with a length of one byte at `at`; -1 if it does not fit (and stays -1). */
function afterVector8(b: Uint8Array, at: number, end: number): number {
  if (at < 0 || at + 1 > end) return -1;
  const next = at + 1 + (b[at] ?? 0);
  return next <= end ? next : -1;
}

function afterVector16(b: Uint8Array, at: number, end: number): number {
  if (at < 0 || at + 2 > end) return -1;
  const next = at + 2 + u16(b, at);
  return next <= end ? next : -1;
}

function u16(b: Uint8Array, at: number): number {
  return ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
}

function latin1(b: Uint8Array, start: number, end: number): string {
  return Buffer.from(b.buffer, b.byteOffset + start, end - start).toString("latin1");
}
