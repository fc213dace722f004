import { ProxyError } from "../../errors/proxy-error.ts";
import { systemClock, type Clock, type Timer } from "../../time/clock.ts";
import type { ByteHandler, Transport } from "../../transport/transport.ts";
import { headerField, headerName, NameRole } from "../../wire/header-field.ts";
import { ChunkedDecoder, ChunkStep } from "../../wire/http1/chunked.ts";
import { Codings } from "../../wire/http1/framing.ts";
import { INCOMPLETE, MALFORMED, RequestParser, STRICT, type Http1Leniency } from "../../wire/http1/parser.ts";
import {
  H1_HEAD_TIMEOUT_MS,
  H1_INCOMPLETE_HEADS_BYTES,
  H1_LINGER_MS,
  H1_UNREAD_BODY_BYTES,
  H1_WINDOW_BYTES,
} from "../../wire/limits.ts";
import { statusLine } from "../../wire/http1/writer.ts";
import { copyRange } from "../copy-range.ts";
import { dateField } from "../date.ts";
import { BodyWriter, type BodyOwner } from "../h1-body-writer.ts";
import { stripHopByHop } from "../hop-by-hop.ts";
import { RequestHead, type HttpService } from "../message.ts";
import { ServerExchange, type ExchangeOwner } from "./h1-exchange.ts";

export interface H1ServerOptions {
  readonly clock?: Clock;
  /** LIM-5: milliseconds from the first byte of a head to its end; `undefined` given never ends a connection for it (DEV-5). */
  readonly headTimeoutMs?: number | undefined;
  /** Restores what upstream does instead of DEV-2 and DEV-3. */
  readonly leniency?: Http1Leniency;
  /**
   * Whether a client that finished writing still waits for its response. By default it does not: an application that
   * leaves is told apart from one that half-closes by nothing else, and its request should not run on.
   */
  readonly halfClose?: boolean;
  /** Told once when a request is refused by the codec itself: the status that was answered, and why. */
  readonly onRefused?: (status: number, problem: string) => void;
  /** The connection is gone. */
  readonly onClose?: (error: ProxyError | undefined) => void;
}

/** Where the input is. */
const Phase = {
  /** Between requests, or in a head. */
  head: 0,
  length: 1,
  chunked: 2,
  /** The request is complete, its response is not: further bytes wait. */
  complete: 3,
  /** A request for a tunnel is complete: its response decides what further bytes are. */
  undecided: 4,
  tunnel: 5,
  /** Our direction ended or will: input is dropped. */
  closing: 6,
  closed: 7,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const EMPTY = Buffer.alloc(0);
const HOST = headerName("host");
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** LIM-4: bytes of all incomplete request heads of the process. */
let incompleteHeadBytes = 0;

/**
 * The server side of an HTTP/1 connection: parses requests, calls the service for one at a time, writes the responses in
 * order. Bytes that come before their turn wait, and the connection is not read meanwhile.
 *
 * `Expect: 100-continue` is answered as soon as the service has taken the request without answering it: a refusal by
 * policy thus comes without the body being asked for. The field is forwarded all the same.
 *
 * It attaches itself to the transport; whoever has read first bytes gives them to `onBytes` afterwards.
 */
export class H1Server implements ByteHandler, ExchangeOwner, BodyOwner {
  readonly transport: Transport;
  readonly writer: BodyWriter;
  readonly #service: HttpService;
  readonly #options: H1ServerOptions;
  readonly #clock: Clock;
  readonly #headTimeoutMs: number | undefined;
  readonly #leniency: Http1Leniency;
  readonly #parser: RequestParser;
  #decoder: ChunkedDecoder | undefined = undefined;

  #phase: Phase = Phase.head;
  #exchange: ServerExchange | undefined = undefined;
  #remaining = 0;
  #uncredited = 0;
  /** The request in flight may still become a tunnel. */
  #wantsTunnel = false;
  /** The client waits for 100 before it sends the body. */
  #continueDue = false;
  #keepAlive = true;
  #draining = false;
  #responseDone = false;
  /** Body bytes read since the response was complete. */
  #unread = 0;

  #running = false;
  #paused = false;
  /** Input that came before its turn. */
  #held: Buffer | undefined = undefined;
  #inputEnded = false;
  #headTimer: Timer | undefined = undefined;
  #lingerTimer: Timer | undefined = undefined;
  #countedHeadBytes = 0;

  constructor(transport: Transport, service: HttpService, options: H1ServerOptions = {}) {
    this.transport = transport;
    this.#service = service;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#headTimeoutMs = "headTimeoutMs" in options ? options.headTimeoutMs : H1_HEAD_TIMEOUT_MS;
    this.#leniency = options.leniency ?? STRICT;
    this.#parser = new RequestParser(this.#leniency);
    this.writer = new BodyWriter(transport, this);
    transport.attach(this);
  }

  /** Whether no request is in flight and none has begun to arrive. */
  get idle(): boolean {
    return this.#phase === Phase.head && !this.#parser.inProgress && this.#held === undefined;
  }

  /** Whether the connection became a tunnel: it is then left alone by `drain`. */
  get isTunnel(): boolean {
    return this.#phase === Phase.tunnel;
  }

  /**
   * Ends the connection gracefully: at once if it is idle, else with the response in flight, which says so if its head
   * is not written yet. Also what a rescue layer calls for "close". A tunnel runs on.
   */
  drain(): void {
    this.#draining = true;
    if (this.idle) this.#close();
  }

  // ---- input --------------------------------------------------------------------------------------------------------

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#held !== undefined) {
      this.#held = Buffer.concat([this.#held, buffer.subarray(start, end)]);
      return;
    }
    this.#run(buffer, start, end, false);
  }

  onEnd(): void {
    this.#inputEnded = true;
    switch (this.#phase) {
      case Phase.tunnel:
        this.#exchange?.request?.data(EMPTY, 0, 0, true);
        this.#finishTunnel();
        return;
      case Phase.head:
        this.#close();
        return;
      case Phase.length:
      case Phase.chunked:
        this.#abort("the client closed its connection inside a request body");
        return;
      case Phase.complete:
      case Phase.undecided:
        if (this.#options.halfClose !== true) this.#cancel();
        return;
      default:
    }
  }

  onDrain(): void {
    this.writer.drained();
  }

  onClose(error: ProxyError | undefined): void {
    const exchange = this.#exchange;
    this.#phase = Phase.closed;
    this.#exchange = undefined;
    this.#held = undefined;
    this.#stopHeadWatch();
    this.#lingerTimer?.cancel();
    this.writer.abandon();
    if (exchange !== undefined) {
      exchange.detach();
      exchange.request?.reset(canceled(error));
    }
    this.#options.onClose?.(error);
  }

  #run(buffer: Buffer, start: number, end: number, owned: boolean): void {
    this.#running = true;
    let at = start;
    while (at < end) {
      const phase = this.#phase;
      if (phase === Phase.head) at = this.#head(buffer, at, end);
      else if (phase === Phase.length) at = this.#lengthBody(buffer, at, end);
      else if (phase === Phase.chunked) at = this.#chunkedBody(buffer, at, end);
      else if (phase === Phase.tunnel) at = this.#tunnelBytes(buffer, at, end);
      else if (phase >= Phase.closing) at = end;
      else {
        this.#held = owned ? buffer.subarray(at, end) : copyRange(buffer, at, end);
        break;
      }
    }
    this.#running = false;
    if (this.#phase === Phase.head) this.#watchHead();
    else if (this.#responseDone) this.#settleUnread();
    this.#updateReading();
  }

  #head(buffer: Buffer, start: number, end: number): number {
    const parser = this.#parser;
    const at = parser.parse(buffer, start, end);
    if (at === INCOMPLETE) return end;
    if (at === MALFORMED) {
      this.#refuse(parser.problem.status, parser.problem.problem);
      return end;
    }
    this.#stopHeadWatch();
    this.#request();
    return at;
  }

  /** A head is complete: the service gets it. */
  #request(): void {
    const parser = this.#parser;
    const { version, method, scheme, authority, path, absoluteForm } = parser.line;
    const { fields, connection, contentLength } = parser;
    const head = new RequestHead(version, method, scheme, authority, path, fields, this.#clock.nowMs());
    head.absoluteForm = absoluteForm;
    head.upgrade = parser.wantsTunnel;
    if (parser.hopByHop && !head.upgrade) stripHopByHop(fields, connection.named);
    if (absoluteForm && !this.#leniency.anyHost) hostFromTarget(head);
    const wanted = version === 11 ? !connection.close : connection.keepAlive && !connection.close;
    this.#keepAlive = wanted && !parser.ambiguous;
    this.#wantsTunnel = head.upgrade;
    this.#uncredited = 0;
    this.#responseDone = false;
    this.#unread = 0;
    let last = false;
    if (parser.codings === Codings.chunked) {
      this.#phase = Phase.chunked;
      (this.#decoder ??= new ChunkedDecoder()).reset();
    } else if (contentLength > 0) {
      this.#phase = Phase.length;
      this.#remaining = contentLength;
    } else {
      // A tunnel's client goes on writing once it is open, so its direction does not end here.
      last = !head.upgrade;
      this.#phase = last ? Phase.complete : Phase.undecided;
    }
    this.#continueDue = parser.expectsContinue && version === 11 && !last;
    const exchange = new ServerExchange(this, head, parser.acceptsTrailers);
    this.#exchange = exchange;
    parser.reset();
    const request = this.#service.call(head, last, exchange);
    exchange.request = request;
    if (exchange.broken !== undefined) request.reset(exchange.broken);
    else if (exchange.owed > 0) request.credit(exchange.owed);
    if (this.#exchange !== exchange) return;
    if (this.#continueDue && !exchange.started) {
      this.#continueDue = false;
      this.transport.writeLatin1(CONTINUE);
    }
  }

  #lengthBody(buffer: Buffer, start: number, end: number): number {
    const to = Math.min(end, start + this.#remaining);
    this.#remaining -= to - start;
    if (this.#remaining > 0) {
      this.#pass(buffer, start, to, false);
    } else if (this.#wantsTunnel) {
      this.#phase = Phase.undecided;
      this.#pass(buffer, start, to, false);
    } else {
      this.#phase = Phase.complete;
      this.#pass(buffer, start, to, true);
      this.#requestEnded();
    }
    return to;
  }

  #chunkedBody(buffer: Buffer, start: number, end: number): number {
    const decoder = this.#decoder;
    if (decoder === undefined) return end;
    const step = decoder.next(buffer, start, end);
    if (step === ChunkStep.data) this.#pass(buffer, decoder.dataStart, decoder.dataEnd, false);
    else if (step === ChunkStep.malformed) this.#abort(decoder.problem);
    else if (step === ChunkStep.end) {
      this.#phase = Phase.complete;
      const request = this.#exchange?.request;
      if (decoder.trailers.length > 0) request?.trailers(decoder.trailers);
      else request?.data(EMPTY, 0, 0, true);
      this.#requestEnded();
    }
    return decoder.position;
  }

  #tunnelBytes(buffer: Buffer, start: number, end: number): number {
    this.#pass(buffer, start, end, false);
    return end;
  }

  #pass(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#uncredited += end - start;
    if (this.#responseDone) this.#unread += end - start;
    this.#exchange?.request?.data(buffer, start, end, last);
  }

  #requestEnded(): void {
    if (this.#responseDone) this.#finish();
  }

  // ---- the exchange in flight -----------------------------------------------------------------------------------------

  keepsAlive(): boolean {
    // A client that still waits for 100 may send the body or not: nobody can tell where its next request begins.
    if (this.#draining || this.#continueDue) this.#keepAlive = false;
    return this.#keepAlive;
  }

  mustClose(): void {
    this.#keepAlive = false;
  }

  responseStarted(tunnel: boolean): void {
    if (tunnel) {
      this.#phase = Phase.tunnel;
      this.#resumeInput();
    } else if (this.#wantsTunnel) {
      this.#wantsTunnel = false;
      if (this.#phase === Phase.undecided) {
        this.#phase = Phase.complete;
        this.#exchange?.request?.data(EMPTY, 0, 0, true);
      }
    }
  }

  responseFailed(error: ProxyError): void {
    const exchange = this.#exchange;
    exchange?.detach();
    this.#exchange = undefined;
    this.writer.abandon();
    this.#cut(exchange?.started === true, error);
  }

  requestPassed(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#paused) this.#updateReading();
  }

  bodyPassed(bytes: number): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if (exchange.request === undefined) exchange.owed += bytes;
    else exchange.request.credit(bytes);
  }

  bodyBroken(problem: string): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const error = new ProxyError("bad_message", problem, { side: "upstream" });
    if (exchange !== undefined) {
      exchange.detach();
      // The service may still be running.
      if (exchange.request === undefined) exchange.broken = error;
      else exchange.request.reset(error);
    }
    this.#cut(true, error);
  }

  bodyEnded(): void {
    this.#responseDone = true;
    if (this.#phase === Phase.tunnel) {
      this.transport.end();
      this.#finishTunnel();
    } else if (this.#phase === Phase.complete) {
      this.#finish();
    } else if (!this.#running) {
      this.#settleUnread();
    }
  }

  /** Both directions are complete: the next request's turn. */
  #finish(): void {
    this.#exchange?.detach();
    this.#exchange = undefined;
    this.#responseDone = false;
    if (!this.#keepAlive || this.#draining || this.#inputEnded) {
      this.#close();
      return;
    }
    this.#phase = Phase.head;
    this.#resumeInput();
  }

  #finishTunnel(): void {
    if (!this.#inputEnded || !this.#responseDone) return;
    this.#exchange?.detach();
    this.#exchange = undefined;
    this.#phase = Phase.closing;
  }

  /** The response is complete and the request is not: the rest is read if it is small, to keep the connection. */
  #settleUnread(): void {
    if (this.#phase !== Phase.length && this.#phase !== Phase.chunked) return;
    const rest = this.#phase === Phase.length ? this.#remaining : 0;
    if (this.#keepAlive && !this.#draining && this.#unread + rest <= H1_UNREAD_BODY_BYTES) return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.detach();
    exchange?.request?.reset(
      new ProxyError("canceled", "the response was complete before the request", { side: "proxy" }),
    );
    this.#close();
  }

  #resumeInput(): void {
    const held = this.#held;
    if (held !== undefined && !this.#running) {
      this.#held = undefined;
      this.#run(held, 0, held.length, true);
    }
    this.#updateReading();
  }

  /** Reads on or not: held bytes come first, and the far side must keep up. */
  #updateReading(): void {
    if (this.#phase >= Phase.complete && this.#phase !== Phase.tunnel && this.#held === undefined) {
      // Nothing of the body is left to wait for, and a client that leaves must be noticed.
      this.#setPaused(false);
      return;
    }
    const bound = this.#paused ? H1_WINDOW_BYTES / 2 : H1_WINDOW_BYTES;
    this.#setPaused(this.#held !== undefined || (this.#phase !== Phase.head && this.#uncredited >= bound));
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.transport.pause();
    else this.transport.resume();
  }

  // ---- ends -----------------------------------------------------------------------------------------------------------

  /** Answers a malformed request and closes. Earlier requests of the connection have had their responses by now. */
  #refuse(status: number, problem: string): void {
    this.#stopHeadWatch();
    this.#parser.reset();
    this.#options.onRefused?.(status, problem);
    const date = `date: ${dateField().value}`;
    this.transport.writeLatin1(
      `${statusLine(11, status, undefined)}content-length: 0\r\n${date}\r\nconnection: close\r\n\r\n`,
    );
    this.#close();
  }

  /** The request body went wrong: its message must never look complete. */
  #abort(problem: string): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.writer.abandon();
    const started = exchange?.started === true;
    exchange?.detach();
    exchange?.request?.reset(new ProxyError("bad_message", problem, { side: "downstream" }));
    if (!started) this.#refuse(400, problem);
    else if (this.#responseDone) this.#close();
    else {
      this.#options.onRefused?.(400, problem);
      this.#cut(true, undefined);
    }
  }

  /** The client left while its request was in flight. */
  #cancel(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#phase = Phase.closing;
    this.writer.abandon();
    exchange?.detach();
    exchange?.request?.reset(canceled(undefined));
    this.transport.destroy();
  }

  /** Ends a connection whose response cannot be completed, so that the client sees that it was not. */
  #cut(started: boolean, error: ProxyError | undefined): void {
    const tunnel = this.#phase === Phase.tunnel;
    this.#phase = Phase.closing;
    this.#held = undefined;
    if (started) this.transport.flush();
    // Where only the end of the connection would end the body, an orderly end would look like completeness.
    if (started && (tunnel || !this.#keepAlive)) this.transport.reset();
    else this.transport.destroy(error);
  }

  #close(): void {
    this.#phase = Phase.closing;
    this.#held = undefined;
    this.#stopHeadWatch();
    this.transport.end();
    this.#linger();
    if (!this.#running) this.#updateReading();
  }

  /**
   * What the client still sends is read and dropped for a while: closing at once could destroy the response on its way.
   * A client that is still taking its response has all the time it needs.
   */
  #linger(): void {
    if (this.#inputEnded) return;
    this.#lingerTimer ??= this.#clock.after(H1_LINGER_MS, () => {
      this.#lingerTimer = undefined;
      if (this.transport.destroyed) return;
      if (this.transport.waitingBytes > 0) this.#linger();
      else this.transport.destroy();
    });
  }

  /** Bounds an incomplete head in time (LIM-5) and, with all others of the process, in bytes (LIM-4). */
  #watchHead(): void {
    const parser = this.#parser;
    if (!parser.inProgress) return;
    incompleteHeadBytes += parser.headBytes - this.#countedHeadBytes;
    this.#countedHeadBytes = parser.headBytes;
    if (incompleteHeadBytes > H1_INCOMPLETE_HEADS_BYTES) {
      this.#refuse(431, "too many incomplete heads in this process");
      return;
    }
    const timeoutMs = this.#headTimeoutMs;
    if (timeoutMs === undefined || this.#headTimer !== undefined) return;
    this.#headTimer = this.#clock.after(timeoutMs, () => {
      this.#headTimer = undefined;
      this.#refuse(408, "the request head did not arrive in time");
    });
  }

  #stopHeadWatch(): void {
    if (this.#countedHeadBytes > 0) {
      incompleteHeadBytes -= this.#countedHeadBytes;
      this.#countedHeadBytes = 0;
    }
    if (this.#headTimer !== undefined) {
      this.#headTimer.cancel();
      this.#headTimer = undefined;
    }
  }
}

function canceled(cause: ProxyError | undefined): ProxyError {
  return new ProxyError("canceled", "the client closed its connection while its request was in flight", {
    side: "downstream",
    cause,
  });
}

/** DEV-3: the host that decides is the host that the server sees (RFC 9112 section 3.2.2). */
function hostFromTarget(head: RequestHead): void {
  const authority = head.authority;
  if (authority === undefined) return;
  const fields = head.fields;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field?.name.role === NameRole.host && field.value !== authority.value) {
      fields[i] = headerField(HOST, authority.value);
    }
  }
}
