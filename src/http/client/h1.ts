import { ProxyError } from "../../errors/proxy-error.ts";
import type { ByteHandler, Transport } from "../../transport/transport.ts";
import { NameRole, type HeaderField } from "../../wire/header-field.ts";
import { ChunkedDecoder, ChunkStep } from "../../wire/http1/chunked.ts";
import { BodyKind, Codings, isBodiless, NO_LENGTH, responseBodyKind } from "../../wire/http1/framing.ts";
import { INCOMPLETE, MALFORMED, ResponseParser } from "../../wire/http1/parser.ts";
import { H1_INTERIM_RESPONSES } from "../../wire/limits.ts";
import { BodyWriter, type BodyOwner } from "../h1-body-writer.ts";
import { stripHopByHop } from "../hop-by-hop.ts";
import {
  DiscardSink,
  ResponseHead,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../message.ts";
import { RequestHeadWriter } from "./h1-request-head.ts";

/** Whoever keeps the connection between requests: a pool. */
export interface H1ClientOwner {
  /** The exchange is over and the connection can take another; `call` may be called from within. */
  onIdle(client: H1Client): void;
  /** The connection takes no more requests. Called exactly once; an exchange in flight ends by its own sinks. */
  onGone(client: H1Client): void;
  /**
   * A request without a body met a connection that its server had already given up: not a byte came back. May send it
   * elsewhere and return the sink of that; undefined lets it fail.
   */
  replay(head: RequestHead, response: ResponseSink): Sink | undefined;
}

/** Where the response is. */
const Phase = {
  idle: 0,
  head: 1,
  length: 2,
  chunked: 3,
  untilClose: 4,
  tunnel: 5,
  gone: 6,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const EMPTY = Buffer.alloc(0);
/**
 * Response bytes that may be passed on before the far side credits them; then the server is not read. One read more, 64
 * KiB, may be under way. Small, because many servers' responses may share one connection to a client that does not
 * read: a hundred of them hold less than 8 MiB (H2-A04). A client that reads is given credit within the call.
 */
const RESPONSE_WINDOW_BYTES = 16_384;
/** Methods that a server may get twice without harm (RFC 9110 section 9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
/** Heads are written within one call, so one writer serves all connections. */
const heads = new RequestHeadWriter();

/**
 * The client side of an HTTP/1 connection: one exchange at a time, any number in turn.
 *
 * Interim responses are swallowed, 101 and 2xx to CONNECT open the tunnel that the request asked for. After any doubt
 * about where a response ends the connection is closed, never used again.
 *
 * It attaches itself to the transport.
 */
export class H1Client implements ByteHandler, BodyOwner, HttpService {
  readonly #transport: Transport;
  readonly #owner: H1ClientOwner;
  readonly #writer: BodyWriter;
  readonly #parser = new ResponseParser();
  #decoder: ChunkedDecoder | undefined = undefined;

  #phase: Phase = Phase.idle;
  #exchange: ClientExchange | undefined = undefined;
  #head: RequestHead | undefined = undefined;
  /** The request has no body, so its head alone is the whole request. */
  #headOnly = false;
  #requestDone = true;
  #remaining = 0;
  #uncredited = 0;
  #paused = false;
  #interim = 0;
  /** A byte of the response has come. */
  #answered = false;
  #reusable = true;
  #served = 0;
  #closing = false;
  #inputEnded = false;

  constructor(transport: Transport, owner: H1ClientOwner) {
    this.#transport = transport;
    this.#owner = owner;
    this.#writer = new BodyWriter(transport, this);
    transport.attach(this);
  }

  /** Whether `call` may be called. */
  get idle(): boolean {
    return this.#phase === Phase.idle && !this.#transport.destroyed;
  }

  /** Exchanges begun so far. */
  get served(): number {
    return this.#served;
  }

  /** Sends a request. Only while `idle`. `last` means that it has no body. */
  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const text = heads.write(head, last);
    if (text === undefined) {
      const error = new ProxyError("bad_message", heads.problem, { side: "downstream" });
      this.#owner.onIdle(this);
      response.reset(error);
      return new DiscardSink(response);
    }
    const exchange = new ClientExchange(this, response);
    this.#exchange = exchange;
    this.#head = head;
    this.#headOnly = last;
    this.#requestDone = last;
    this.#phase = Phase.head;
    this.#uncredited = 0;
    this.#interim = 0;
    this.#answered = false;
    this.#served++;
    this.#transport.writeLatin1(text);
    if (!last) this.#writer.begin(heads.kind, heads.length, true);
    return exchange;
  }

  /** Takes no further requests: closes at once if idle, else after the exchange in flight. */
  close(): void {
    this.#closing = true;
    if (this.#phase === Phase.idle) this.#leave();
  }

  // ---- the request --------------------------------------------------------------------------------------------------

  /** For the exchange alone: request body bytes. */
  requestData(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (end > start) this.#headOnly = false;
    this.#writer.data(buffer, start, end, last);
  }

  /** For the exchange alone. */
  requestTrailers(fields: HeaderField[]): void {
    this.#writer.trailers(fields);
  }

  /** For the exchange alone: the caller gives up. What was sent cannot be taken back, so the connection goes. */
  requestReset(): void {
    const tunnel = this.#phase === Phase.tunnel;
    this.#detach();
    if (tunnel) this.#transport.reset();
    this.#leave();
  }

  /** For the exchange alone: response bytes have left for the far side. */
  responsePassed(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#paused && this.#uncredited < RESPONSE_WINDOW_BYTES / 2) this.#setPaused(false);
  }

  bodyPassed(bytes: number): void {
    this.#exchange?.response.credit(bytes);
  }

  bodyEnded(): void {
    this.#requestDone = true;
    if (this.#phase !== Phase.tunnel) return;
    this.#transport.end();
    this.#finishTunnel();
  }

  bodyBroken(problem: string): void {
    this.#fail(new ProxyError("bad_message", problem, { side: "downstream" }));
  }

  // ---- the response -------------------------------------------------------------------------------------------------

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#phase === Phase.idle) {
      // Nobody asked: whatever this is, the next response must not be mistaken for it.
      this.#leave();
      return;
    }
    this.#answered = true;
    let at = start;
    while (at < end) {
      switch (this.#phase) {
        case Phase.head:
          at = this.#responseHead(buffer, at, end);
          break;
        case Phase.length:
          at = this.#lengthBody(buffer, at, end);
          break;
        case Phase.chunked:
          at = this.#chunkedBody(buffer, at, end);
          break;
        case Phase.untilClose:
        case Phase.tunnel:
          this.#pass(buffer, at, end);
          at = end;
          break;
        default:
          return;
      }
    }
    if (this.#uncredited >= RESPONSE_WINDOW_BYTES && this.#exchange !== undefined) this.#setPaused(true);
  }

  onEnd(): void {
    this.#inputEnded = true;
    switch (this.#phase) {
      case Phase.idle:
        this.#leave();
        return;
      case Phase.head:
        this.#unanswered(undefined);
        return;
      case Phase.untilClose: {
        const response = this.#complete(false);
        response?.data(EMPTY, 0, 0, true);
        return;
      }
      case Phase.tunnel:
        this.#exchange?.response.data(EMPTY, 0, 0, true);
        this.#finishTunnel();
        return;
      case Phase.length:
      case Phase.chunked:
        this.#fail(upstreamClosed("the server closed its connection inside a response body", undefined));
        return;
      default:
    }
  }

  onDrain(): void {
    this.#writer.drained();
  }

  onClose(error: ProxyError | undefined): void {
    if (this.#phase === Phase.head) this.#unanswered(error);
    else if (this.#exchange !== undefined) {
      this.#fail(error ?? upstreamClosed("the server closed its connection inside a response", undefined));
    } else this.#leave();
  }

  /** A head, complete or not. Returns the offset behind what was taken. */
  #responseHead(buffer: Buffer, start: number, end: number): number {
    const parser = this.#parser;
    const at = parser.parse(buffer, start, end);
    if (at === INCOMPLETE) return end;
    if (at === MALFORMED) {
      this.#fail(malformed(parser.problem.problem));
      return end;
    }
    const status = parser.line.status;
    if (status < 200 && status !== 101) {
      parser.reset();
      if (++this.#interim > H1_INTERIM_RESPONSES) this.#fail(malformed("too many interim responses"));
      return at;
    }
    this.#final(at < end);
    return at;
  }

  /** @param more bytes follow the head in the same read. */
  #final(more: boolean): void {
    const parser = this.#parser;
    const { version, status, statusField, reason } = parser.line;
    const { fields, connection, contentLength, codings } = parser;
    const request = this.#head;
    const exchange = this.#exchange;
    if (request === undefined || exchange === undefined) return;
    const isConnect = request.path === undefined;
    const tunnel = request.upgrade && (isConnect ? status >= 200 && status < 300 : status === 101);
    if (status === 101 && !tunnel) {
      this.#fail(malformed("a change of protocol that was not asked for"));
      return;
    }
    const head = new ResponseHead(version, status, statusField, fields);
    head.reason = reason;
    const persistent = version === 11 ? !connection.close : connection.keepAlive && !connection.close;
    this.#reusable =
      persistent &&
      !parser.ambiguous &&
      request.version === 11 &&
      !(version === 10 && codings !== Codings.none);
    const { hopByHop } = parser;
    const named = connection.named;
    parser.reset();
    if (tunnel) {
      if (contentLength !== NO_LENGTH) removeLength(fields);
      this.#phase = Phase.tunnel;
      this.#writer.begin(BodyKind.untilClose, NO_LENGTH, false);
      exchange.response.head(head, false);
      return;
    }
    if (hopByHop) stripHopByHop(fields, named);
    // The tunnel is declined: all that the client meant for this request has been sent.
    if (request.upgrade && !this.#requestDone && this.#writer.lengthReached) {
      this.#writer.abandon();
      this.#requestDone = true;
    }
    const bodiless = isBodiless(request.method.value === "HEAD", status);
    if (status === 204 && contentLength !== NO_LENGTH) removeLength(fields);
    const kind = bodiless ? BodyKind.none : responseBodyKind(codings === Codings.chunked, contentLength);
    switch (kind) {
      case BodyKind.none:
        this.#complete(!more)?.head(head, true);
        return;
      case BodyKind.length:
        this.#phase = Phase.length;
        this.#remaining = contentLength;
        break;
      case BodyKind.chunked:
        this.#phase = Phase.chunked;
        (this.#decoder ??= new ChunkedDecoder()).reset();
        break;
      default:
        this.#phase = Phase.untilClose;
    }
    exchange.response.head(head, false);
  }

  #lengthBody(buffer: Buffer, start: number, end: number): number {
    const to = Math.min(end, start + this.#remaining);
    this.#remaining -= to - start;
    if (this.#remaining > 0) this.#pass(buffer, start, to);
    else this.#complete(to === end)?.data(buffer, start, to, true);
    return to;
  }

  #chunkedBody(buffer: Buffer, start: number, end: number): number {
    const decoder = this.#decoder;
    if (decoder === undefined) return end;
    const step = decoder.next(buffer, start, end);
    // Read before anything is passed on: the next exchange may use the decoder.
    const at = decoder.position;
    if (step === ChunkStep.data) this.#pass(buffer, decoder.dataStart, decoder.dataEnd);
    else if (step === ChunkStep.malformed) this.#fail(malformed(decoder.problem));
    else if (step === ChunkStep.end) {
      const trailers = decoder.trailers;
      const response = this.#complete(at === end);
      if (trailers.length > 0) response?.trailers(trailers);
      else response?.data(EMPTY, 0, 0, true);
    }
    return at;
  }

  #pass(buffer: Buffer, start: number, end: number): void {
    this.#uncredited += end - start;
    this.#exchange?.response.data(buffer, start, end, false);
  }

  // ---- ends ---------------------------------------------------------------------------------------------------------

  /**
   * The response is complete: frees the connection before its last bytes are passed on, so that a caller that asks again
   * at once finds it.
   *
   * @param clean nothing followed the response.
   * @returns the sink that the last bytes go to.
   */
  #complete(clean: boolean): ResponseSink | undefined {
    const response = this.#exchange?.response;
    const reusable = clean && this.#reusable && this.#requestDone && !this.#closing && !this.#inputEnded;
    this.#detach();
    if (!reusable) {
      this.#leave();
      return response;
    }
    this.#phase = Phase.idle;
    this.#setPaused(false);
    this.#owner.onIdle(this);
    return response;
  }

  #finishTunnel(): void {
    if (!this.#inputEnded || !this.#requestDone) return;
    this.#detach();
    this.#phase = Phase.gone;
    this.#owner.onGone(this);
  }

  /** The connection ended before a response head. */
  #unanswered(cause: ProxyError | undefined): void {
    if (this.#answered) {
      this.#fail(malformed("the server closed its connection inside a response head"));
      return;
    }
    const error = upstreamClosed("the server closed its connection before a response", cause);
    const head = this.#head;
    const exchange = this.#exchange;
    const replayable = this.#headOnly && this.#served > 1 && !this.#closing;
    if (!replayable || head === undefined || exchange === undefined || !IDEMPOTENT.has(head.method.value)) {
      this.#fail(error);
      return;
    }
    this.#detach();
    this.#leave();
    const elsewhere = this.#owner.replay(head, exchange.response);
    if (elsewhere === undefined) exchange.response.reset(error);
    else exchange.move(elsewhere);
  }

  #fail(error: ProxyError): void {
    const response = this.#exchange?.response;
    this.#detach();
    this.#leave();
    response?.reset(error);
  }

  #detach(): void {
    this.#exchange?.detach();
    this.#exchange = undefined;
    this.#head = undefined;
    this.#writer.abandon();
  }

  #leave(): void {
    if (this.#phase === Phase.gone) return;
    this.#phase = Phase.gone;
    this.#transport.destroy();
    this.#owner.onGone(this);
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#transport.pause();
    else this.#transport.resume();
  }
}

/** The request sink of one exchange. Detached, it drops what still comes and gives credit for it. */
class ClientExchange implements Sink {
  readonly response: ResponseSink;
  #client: H1Client | undefined;
  #elsewhere: Sink | undefined = undefined;

  constructor(client: H1Client, response: ResponseSink) {
    this.#client = client;
    this.response = response;
  }

  detach(): void {
    this.#client = undefined;
  }

  /** The request was sent again, to there. */
  move(elsewhere: Sink): void {
    this.#elsewhere = elsewhere;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#client !== undefined) this.#client.requestData(buffer, start, end, last);
    else if (this.#elsewhere !== undefined) this.#elsewhere.data(buffer, start, end, last);
    else if (end > start) this.response.credit(end - start);
  }

  trailers(fields: HeaderField[]): void {
    if (this.#client !== undefined) this.#client.requestTrailers(fields);
    else this.#elsewhere?.trailers(fields);
  }

  reset(error: ProxyError): void {
    if (this.#client !== undefined) this.#client.requestReset();
    else this.#elsewhere?.reset(error);
  }

  credit(bytes: number): void {
    if (this.#client !== undefined) this.#client.responsePassed(bytes);
    else this.#elsewhere?.credit(bytes);
  }
}

function removeLength(fields: HeaderField[]): void {
  const at = fields.findIndex((field) => field.name.role === NameRole.contentLength);
  if (at >= 0) fields.splice(at, 1);
}

function malformed(problem: string): ProxyError {
  return new ProxyError("bad_message", `malformed response: ${problem}`, { side: "upstream" });
}

function upstreamClosed(message: string, cause: ProxyError | undefined): ProxyError {
  return new ProxyError("upstream_closed", message, { side: "upstream", cause });
}
