import { parseDnsName, type DnsName } from "../addr/dns-name.ts";
import { unparsed, type Parsed } from "../parsed.ts";

/** The ALPN protocol under which the header is sent; nothing else is negotiated between proxies. */
export const TRANSPORT_HEADER_ALPN = "transport.l5d.io/v1";

/** Bytes that a header may take in all, preface and length included: the model's read buffer. */
export const TRANSPORT_HEADER_BOUND_BYTES = 64 * 1024;

/** What a client tells the proxy that it dialled directly about the connection. */
export interface TransportHeader {
  /** 1 to 65535. */
  readonly port: number;
  /** The gateway's target; undefined for the proxy's own workload. */
  readonly name: DnsName | undefined;
  /** What follows; undefined for opaque bytes. */
  readonly sessionProtocol: "http1" | "http2" | undefined;
}

/** The outcome of reading a header. */
export type TransportHeaderRead =
  /** `length` bytes were the header; the rest belongs to the application. */
  | { readonly kind: "header"; readonly header: TransportHeader; readonly length: number }
  | { readonly kind: "invalid"; readonly problem: string };

const PREFACE = Buffer.from(`${TRANSPORT_HEADER_ALPN}\r\n\r\n`);
const LENGTH_AT = PREFACE.length;
const MESSAGE_AT = LENGTH_AT + 4;

// Fields of transport.l5d.io.Header and the wire types of protobuf.
const FIELD_PORT = 1;
const FIELD_NAME = 2;
const FIELD_SESSION_PROTOCOL = 3;
const FIELD_HTTP1 = 1;
const FIELD_HTTP2 = 2;
const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

/**
 * Writes a header: preface, length, message.
 *
 * Source: linkerd2-proxy, linkerd/transport-header/src/lib.rs.
 */
export function encodeTransportHeader(header: TransportHeader): Buffer {
  const message: number[] = [(FIELD_PORT << 3) | WIRE_VARINT];
  pushVarint(message, header.port);
  if (header.name !== undefined) pushBytes(message, FIELD_NAME, Buffer.from(header.name, "latin1"));
  if (header.sessionProtocol !== undefined) {
    const kind = header.sessionProtocol === "http1" ? FIELD_HTTP1 : FIELD_HTTP2;
    pushBytes(message, FIELD_SESSION_PROTOCOL, Uint8Array.of((kind << 3) | WIRE_BYTES, 0));
  }
  const out = Buffer.alloc(MESSAGE_AT + message.length);
  PREFACE.copy(out);
  out.writeUInt32BE(message.length, LENGTH_AT);
  out.set(message, MESSAGE_AT);
  return out;
}

/**
 * Reads a header from the start of a connection. Nothing is allocated for lengths that were only announced.
 *
 * @param bytes everything received so far.
 * @returns undefined while more bytes are needed, at most until `TRANSPORT_HEADER_BOUND_BYTES`.
 */
export function parseTransportHeader(bytes: Uint8Array): TransportHeaderRead | undefined {
  const preface = Math.min(bytes.length, PREFACE.length);
  for (let i = 0; i < preface; i++) {
    if (bytes[i] !== PREFACE[i]) return invalid("the connection does not begin with a transport header");
  }
  if (bytes.length < MESSAGE_AT) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = view.getUint32(LENGTH_AT);
  const end = MESSAGE_AT + size;
  if (end > TRANSPORT_HEADER_BOUND_BYTES) {
    return invalid(
      `a transport header of ${size} bytes is above the bound of ${TRANSPORT_HEADER_BOUND_BYTES}`,
    );
  }
  if (bytes.length < end) return undefined;
  const header = readHeader(bytes.subarray(MESSAGE_AT, end));
  return header.ok ? { kind: "header", header: header.value, length: end } : invalid(header.problem);
}

function invalid(problem: string): TransportHeaderRead {
  return { kind: "invalid", problem };
}

function readHeader(message: Uint8Array): Parsed<TransportHeader> {
  let port = 0;
  let nameText = "";
  let sessionProtocol: TransportHeader["sessionProtocol"];
  const reader = new Fields(message);
  while (reader.next()) {
    const { field, wireType } = reader;
    if (field === FIELD_PORT) {
      if (wireType !== WIRE_VARINT) return unparsed("transport header: the port is not a number");
      port = reader.number;
    } else if (field === FIELD_NAME) {
      if (wireType !== WIRE_BYTES) return unparsed("transport header: the name is not a string");
      nameText = Buffer.from(reader.bytes).toString("latin1");
    } else if (field === FIELD_SESSION_PROTOCOL) {
      if (wireType !== WIRE_BYTES) return unparsed("transport header: the session protocol is not a message");
      const kind = readSessionProtocol(reader.bytes);
      if (kind === "malformed") return unparsed("transport header: the session protocol is malformed");
      // Repeated messages merge: one without a kind leaves the former's.
      sessionProtocol = kind ?? sessionProtocol;
    }
  }
  if (reader.malformed) return unparsed("transport header: the message is malformed");
  if (port < 1 || port > 65535) return unparsed(`transport header: ${port} is not a port`);
  if (nameText === "") return { ok: true, value: { port, name: undefined, sessionProtocol } };
  const name = parseDnsName(nameText);
  // The text is a stranger's and may be long: it is not repeated.
  if (!name.ok) return unparsed("transport header: the name is not a DNS name");
  return { ok: true, value: { port, name: name.value, sessionProtocol } };
}

function readSessionProtocol(message: Uint8Array): "http1" | "http2" | "malformed" | undefined {
  let kind: "http1" | "http2" | undefined;
  const reader = new Fields(message);
  while (reader.next()) {
    if (reader.field !== FIELD_HTTP1 && reader.field !== FIELD_HTTP2) continue;
    if (reader.wireType !== WIRE_BYTES || !isMessage(reader.bytes)) return "malformed";
    kind = reader.field === FIELD_HTTP1 ? "http1" : "http2";
  }
  return reader.malformed ? "malformed" : kind;
}

function isMessage(bytes: Uint8Array): boolean {
  const reader = new Fields(bytes);
  while (reader.next());
  return !reader.malformed;
}

/** Walks over the fields of a protobuf message; what it does not know it skips, as protobuf wants. */
class Fields {
  field = 0;
  wireType = 0;
  /** Value of a varint as a signed 32-bit integer. */
  number = 0;
  /** Content of a length-delimited field. */
  bytes: Uint8Array = EMPTY;
  malformed = false;
  readonly #message: Uint8Array;
  #at = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** Goes to the next field; false at the end and where the message is malformed. */
  next(): boolean {
    if (this.malformed || this.#at === this.#message.length) return false;
    const tag = this.#varint();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) this.malformed = true;
    switch (this.wireType) {
      case WIRE_VARINT:
        this.number = this.#varint() | 0;
        break;
      case WIRE_FIXED64:
        this.#take(8);
        break;
      case WIRE_FIXED32:
        this.#take(4);
        break;
      case WIRE_BYTES:
        this.bytes = this.#take(this.#varint());
        break;
      default:
        // Groups were never used in this message and are obsolete.
        this.malformed = true;
    }
    return !this.malformed;
  }

  /** The low 32 bits of a varint of at most ten bytes, unsigned. */
  #varint(): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = this.#message[this.#at++];
      if (byte === undefined) break;
      // Shifts count modulo 32: higher groups must not wrap into the lower ones.
      if (i < 5) value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return value >>> 0;
    }
    this.malformed = true;
    return 0;
  }

  #take(length: number): Uint8Array {
    const start = this.#at;
    if (this.malformed || length > this.#message.length - start) {
      this.malformed = true;
      return EMPTY;
    }
    this.#at = start + length;
    return this.#message.subarray(start, start + length);
  }
}

const EMPTY = new Uint8Array(0);

function pushVarint(to: number[], value: number): void {
  let rest = value;
  while (rest > 0x7f) {
    to.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  to.push(rest);
}

function pushBytes(to: number[], field: number, bytes: Uint8Array): void {
  to.push((field << 3) | WIRE_BYTES);
  pushVarint(to, bytes.length);
  to.push(...bytes);
}
