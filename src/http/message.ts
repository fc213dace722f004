/**
 * The waist: the one interface that joins both protocols and every layer between them.
 *
 * A service is called with a request head and a sink for the response, and gives back a sink for the rest of the
 * request. Both directions speak the same sink. Nothing here is a stream or a promise: that is what makes a request
 * cheap (design rules: no promise, closure or timer per body chunk).
 *
 * The rules that every implementation keeps:
 *
 * - `data` passes a range of a buffer that is valid only during the call. Whoever keeps bytes copies them.
 * - Flow control is by credit. Whoever takes bytes through `data` later calls `credit(n)` on the sink of the opposite
 *   direction of the same exchange, once those bytes have left for the far side. A sender has at most its window of
 *   bytes uncredited; so each side bounds what the other may have to hold.
 * - One direction ends exactly once: with `last`, with `trailers`, or with `reset`.
 * - `reset` ends the whole exchange, both directions. After it nothing may be called on either sink, except that calls
 *   which arrive late are ignored. Whoever calls `reset` does not get one back.
 * - Before a response head, `reset(error)` on the response sink means that no response exists: the layer that owns the
 *   rescue table turns it into one.
 * - A service may answer before it returns. A caller must therefore be ready for `head`, `data` and `reset` on the
 *   response sink while `call` is still running.
 * - Heads and their field arrays belong to whoever received them last: layers may change them in place.
 */
import type { SocketAddr } from "../addr/socket-addr.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import { headerName, internField, type HeaderField, type HeaderName } from "../wire/header-field.ts";
import type { StreamTimeouts } from "./timeouts.ts";

/** 10, 11 and 20 stand for HTTP/1.0, HTTP/1.1 and HTTP/2: compared as numbers on the hot path. */
export type HttpVersion = 10 | 11 | 20;

/** Pseudo-header names, as fields of a head carry them. */
export const METHOD: HeaderName = headerName(":method");
export const SCHEME: HeaderName = headerName(":scheme");
export const AUTHORITY: HeaderName = headerName(":authority");
export const PATH: HeaderName = headerName(":path");
export const STATUS: HeaderName = headerName(":status");

export const SCHEME_HTTP: HeaderField = internField(SCHEME, "http");

/**
 * A request without its body.
 *
 * `method`, `scheme`, `authority` and `path` are whole fields rather than strings, so that a codec can pass an indexed
 * one on by identity. `fields` holds everything else in order; it never holds a pseudo-header.
 */
export class RequestHead {
  version: HttpVersion;
  method: HeaderField;
  /** Undefined when an HTTP/1 request did not tell (origin-form). */
  scheme: HeaderField | undefined;
  /** From `:authority`, an absolute-form target, or (after normalisation) `Host`. */
  authority: HeaderField | undefined;
  /** Path and query as received; "*" for asterisk-form; undefined for CONNECT. */
  path: HeaderField | undefined;
  fields: HeaderField[];
  /** The HTTP/1 request line was (and towards an HTTP/1 server will be) in absolute-form. */
  absoluteForm = false;
  /** The client asks for a tunnel: HTTP/1.1 with an Upgrade other than h2c, or CONNECT. Its hop-by-hop fields are then kept. */
  upgrade = false;
  /** Monotonic milliseconds at which the head was complete. */
  startedAtMs: number;
  /** What its route allows it, enforced by the endpoint (`enforce-timeouts.ts`); undefined for most. */
  timeouts: StreamTimeouts | undefined = undefined;
  /** Who sent it; known in a proxy that can be tapped. */
  client: SocketAddr | undefined = undefined;
  /** Labels of the ServiceProfile's route that it takes, for taps; undefined where no profile has one for it. */
  routeLabels: readonly (readonly [string, string])[] | undefined = undefined;

  constructor(
    version: HttpVersion,
    method: HeaderField,
    scheme: HeaderField | undefined,
    authority: HeaderField | undefined,
    path: HeaderField | undefined,
    fields: HeaderField[],
    startedAtMs: number,
  ) {
    this.version = version;
    this.method = method;
    this.scheme = scheme;
    this.authority = authority;
    this.path = path;
    this.fields = fields;
    this.startedAtMs = startedAtMs;
  }
}

/** A response without its body. `status` is the number of `statusField`. */
export class ResponseHead {
  version: HttpVersion;
  status: number;
  statusField: HeaderField;
  fields: HeaderField[];
  /** HTTP/1 reason phrase as the server wrote it; undefined where none travelled. */
  reason: string | undefined = undefined;
  /**
   * The proxy asks that the client's connection end gracefully after this response: `connection: close` on HTTP/1,
   * GOAWAY on HTTP/2. Never set by what an application sent.
   */
  closeConnection = false;

  constructor(version: HttpVersion, status: number, statusField: HeaderField, fields: HeaderField[]) {
    this.version = version;
    this.status = status;
    this.statusField = statusField;
    this.fields = fields;
  }
}

/** The shared `:status` field of a status. */
export function statusField(status: number): HeaderField {
  return internField(STATUS, String(status));
}

/** One direction of an exchange after its head. See the rules at the top of this file. */
export interface Sink {
  data(buffer: Buffer, start: number, end: number, last: boolean): void;
  /** Ends the direction with trailer fields (possibly none). */
  trailers(fields: HeaderField[]): void;
  reset(error: ProxyError): void;
  /** `bytes` of what this side sent through the opposite sink have been passed on. */
  credit(bytes: number): void;
}

/**
 * The response direction. After a 101, or a 2xx to CONNECT, the exchange is a tunnel: both directions carry raw bytes,
 * `last` is a half-close, and there are no trailers.
 */
export interface ResponseSink extends Sink {
  /** Called once, with a final status or 101; other 1xx are never forwarded. `last` means that no body follows. */
  head(head: ResponseHead, last: boolean): void;
}

/** Something that answers requests: a layer, a balancer, a client connection. */
export interface HttpService {
  /** `last` means that the request has no body. Never throws. */
  call(head: RequestHead, last: boolean, response: ResponseSink): Sink;
}

/** A sink that gives credit for everything and otherwise does nothing: what a service returns once it has answered itself. */
export class DiscardSink implements Sink {
  readonly #source: Sink;

  constructor(source: Sink) {
    this.#source = source;
  }

  data(_buffer: Buffer, start: number, end: number): void {
    if (end > start) this.#source.credit(end - start);
  }
  trailers(): void {}
  reset(): void {}
  credit(): void {}
}
