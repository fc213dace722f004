import { ProxyError } from "../errors/proxy-error.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { formatDuration } from "../time/duration.ts";
import type { HeaderField } from "../wire/header-field.ts";
import { H2Code } from "../wire/http2/error-code.ts";
import {
  DiscardSink,
  type HttpService,
  type HttpVersion,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "./message.ts";
import { PassingRequest } from "./passing-request.ts";
import type { StreamTimeouts } from "./timeouts.ts";

/**
 * Enforces the timeouts that the head of a request carries.
 *
 * It stands at the endpoint, below queue and balancer: waiting for an endpoint is bounded by failfast, and what is too
 * slow here is a failure of this endpoint. Before the response head an expired limit is an error that becomes a 504; in a
 * body it breaks the body off. The server is told that nobody waits any more.
 *
 * One timer per request, set for the earliest instant at which a limit may be over: signs of life move the limit, never the
 * timer, which looks anew when it fires.
 *
 * Source: linkerd2-proxy, linkerd/http/stream-timeouts/src/lib.rs.
 */
export class EnforceTimeouts implements HttpService {
  readonly #inner: HttpService;
  readonly #clock: Clock;
  readonly #name: string;

  /** @param name of the endpoint, before every message. */
  constructor(inner: HttpService, clock: Clock, name: string) {
    this.#inner = inner;
    this.#clock = clock;
    this.#name = name;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const { timeouts } = head;
    if (timeouts === undefined) return this.#inner.call(head, last, response);
    return new TimedExchange(this.#clock, this.#name, timeouts, head, last, response).start(
      this.#inner,
      head,
      last,
    );
  }
}

/** What is over when a limit is. */
type Limit = "headers" | "response" | "request" | "idle";

class TimedExchange implements ResponseSink {
  readonly #clock: Clock;
  readonly #name: string;
  readonly #timeouts: StreamTimeouts;
  readonly #response: ResponseSink;
  readonly #version: HttpVersion;
  readonly #isConnect: boolean;
  #request: Sink | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #timerAtMs = 0;
  /** Nothing is to be enforced any more: the response is complete, given up, or became a tunnel. */
  #over = false;
  #requestEnded: boolean;
  #hasHead = false;
  /** When the request ended, or the response head came if that was earlier; undefined until then. */
  #responseFromMs: number | undefined = undefined;
  #activeAtMs: number;
  /** Bytes of each body that were passed on and not credited: while there are some, it is not the sender who is waited for. */
  #requestHeld = 0;
  #responseHeld = 0;

  constructor(
    clock: Clock,
    name: string,
    timeouts: StreamTimeouts,
    head: RequestHead,
    last: boolean,
    response: ResponseSink,
  ) {
    this.#clock = clock;
    this.#name = name;
    this.#timeouts = timeouts;
    this.#response = response;
    this.#version = head.version;
    this.#isConnect = head.path === undefined;
    this.#requestEnded = last;
    this.#activeAtMs = clock.nowMs();
    if (last) this.#responseFromMs = this.#activeAtMs;
  }

  start(service: HttpService, head: RequestHead, last: boolean): Sink {
    // Time spent in the queue counts: what is late already is not even begun.
    if (this.#activeAtMs >= this.#timeouts.deadlineMs) {
      this.#expire("request");
      return new DiscardSink(this.#response);
    }
    const request = service.call(head, last, this);
    this.#request = request;
    if (!this.#over) this.#arm();
    return new TimedRequest(this, request);
  }

  // ---- the response

  head(head: ResponseHead, last: boolean): void {
    this.#hasHead = true;
    this.#activeAtMs = this.#clock.nowMs();
    this.#responseFromMs ??= this.#activeAtMs;
    const tunnel = head.status === 101 || (this.#isConnect && head.status < 300);
    if (last || tunnel) this.stop();
    else this.#arm();
    this.#response.head(head, last);
  }
  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (last) this.stop();
    else if (this.#timeouts.idleMs !== undefined) {
      this.#activeAtMs = this.#clock.nowMs();
      this.#responseHeld += end - start;
    }
    this.#response.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    this.stop();
    this.#response.trailers(fields);
  }
  reset(error: ProxyError): void {
    this.stop();
    this.#response.reset(error);
  }
  credit(bytes: number): void {
    this.#requestHeld -= bytes;
    this.#activeAtMs = this.#clock.nowMs();
    this.#response.credit(bytes);
  }

  // ---- the request, as `TimedRequest` tells

  onRequestData(bytes: number, last: boolean): void {
    if (this.#over) return;
    this.#activeAtMs = this.#clock.nowMs();
    this.#requestHeld += bytes;
    if (last) this.onRequestEnd();
  }

  onRequestEnd(): void {
    this.#requestEnded = true;
    if (this.#over || this.#hasHead) return;
    this.#responseFromMs = this.#clock.nowMs();
    this.#arm();
  }

  onResponseCredit(bytes: number): void {
    if (this.#over || this.#timeouts.idleMs === undefined) return;
    this.#responseHeld -= bytes;
    this.#activeAtMs = this.#clock.nowMs();
  }

  stop(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  // ---- time

  #arm(): void {
    const atMs = Math.min(this.#limitMs(), this.#activeAtMs + (this.#timeouts.idleMs ?? Infinity));
    if (atMs !== Infinity) this.#setTimer(atMs);
  }

  /** A timer that fires earlier is left alone: it looks for itself. */
  #setTimer(atMs: number): void {
    if (this.#timer !== undefined) {
      if (this.#timerAtMs <= atMs) return;
      this.#timer.cancel();
    }
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.after(Math.max(0, atMs - this.#clock.nowMs()), () => this.#onTimer());
  }

  #onTimer(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    const limitMs = this.#limitMs();
    if (nowMs >= limitMs) return this.#expire(this.#limit());
    const { idleMs } = this.#timeouts;
    if (idleMs === undefined) return this.#setTimer(limitMs);
    const idleAtMs = this.#activeAtMs + idleMs;
    if (nowMs < idleAtMs) return this.#setTimer(Math.min(limitMs, idleAtMs));
    if (this.#isWaitedFor()) return this.#expire("idle");
    // Whatever ends this state is a sign of life, so that nothing can become idle any sooner.
    this.#setTimer(Math.min(limitMs, nowMs + idleMs));
  }

  /** When the limit that holds now is over; infinite if there is none. Idleness aside. */
  #limitMs(): number {
    const { deadlineMs } = this.#timeouts;
    const afterMs = this.#afterMs();
    if (afterMs === undefined || this.#responseFromMs === undefined) return deadlineMs;
    return Math.min(this.#responseFromMs + afterMs, deadlineMs);
  }

  #limit(): Limit {
    const { deadlineMs, headersMs } = this.#timeouts;
    if (this.#limitMs() >= deadlineMs) return "request";
    return !this.#hasHead && headersMs !== undefined ? "headers" : "response";
  }

  #afterMs(): number | undefined {
    const { headersMs, responseMs } = this.#timeouts;
    return this.#hasHead ? responseMs : (headersMs ?? responseMs);
  }

  /** Between the end of the request and the response head nobody is idle: the server works. */
  #isWaitedFor(): boolean {
    if (!this.#requestEnded && this.#requestHeld <= 0) return true;
    return this.#hasHead && this.#responseHeld <= 0;
  }

  #expire(limit: Limit): void {
    this.stop();
    const error = this.#error(limit);
    // An upload that stalled is broken off as one that failed; a response that is late is no longer wanted.
    const stalled = limit === "idle" && !this.#requestEnded;
    this.#request?.reset(
      stalled ? error : new ProxyError("canceled", error.message, { cause: error, side: "proxy" }),
    );
    this.#response.reset(error);
  }

  #error(limit: Limit): ProxyError {
    const { headersMs, responseMs, requestMs, idleMs } = this.#timeouts;
    const phase = this.#hasHead ? "processing response stream" : "waiting for response headers";
    const about = `${this.#name}: timed out ${phase}`;
    switch (limit) {
      case "headers":
        return timeout("response_headers_timeout", about, "response header timeout", headersMs);
      case "response":
        return timeout("response_timeout", about, "response stream timeout", responseMs);
      case "request":
        return timeout("request_timeout", about, "request timeout", requestMs);
      case "idle": {
        const error = timeout("stream_idle_timeout", about, "idle timeout", idleMs);
        if (this.#hasHead || this.#version !== 20) return error;
        // HTTP/2 clients see what the server saw: a stream that was reset.
        return new ProxyError("h2_reset", error.message, {
          cause: error,
          h2Code: H2Code.internalError,
          side: "proxy",
        });
      }
      default:
        return limit satisfies never;
    }
  }
}

function timeout(
  code: "response_headers_timeout" | "response_timeout" | "request_timeout" | "stream_idle_timeout",
  about: string,
  what: string,
  ms: number | undefined,
): ProxyError {
  return new ProxyError(code, `${about}: ${what}: ${formatDuration(ms ?? 0)}`, { side: "proxy" });
}

class TimedRequest extends PassingRequest {
  readonly #exchange: TimedExchange;

  constructor(exchange: TimedExchange, request: Sink) {
    super(request);
    this.#exchange = exchange;
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#exchange.onRequestData(end - start, last);
    this.request.data(buffer, start, end, last);
  }
  override trailers(fields: HeaderField[]): void {
    this.#exchange.onRequestEnd();
    this.request.trailers(fields);
  }
  override reset(error: ProxyError): void {
    this.#exchange.stop();
    this.request.reset(error);
  }
  override credit(bytes: number): void {
    this.#exchange.onResponseCredit(bytes);
    this.request.credit(bytes);
  }
}
