import { ProxyError } from "../../errors/proxy-error.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "../../http/message.ts";
import { PassingRequest } from "../../http/passing-request.ts";
import { PassingResponse } from "../../http/passing-response.ts";
import type { Clock, Timer } from "../../time/clock.ts";

/**
 * The timeout of a profile route: from the request to the head of its response, all attempts together. What has begun to
 * answer may take as long as it likes.
 *
 * Source: linkerd2-proxy, linkerd/proxy/http/src/timeout.rs.
 */
export class ProfileTimeout implements HttpService {
  readonly #inner: HttpService;
  readonly #timeoutMs: number;
  readonly #clock: Clock;

  constructor(inner: HttpService, timeoutMs: number, clock: Clock) {
    this.#inner = inner;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const timed = new TimedResponse(response, this.#timeoutMs, this.#clock);
    timed.request = this.#inner.call(head, last, timed);
    return new TimedRequest(timed, timed.request);
  }
}

class TimedResponse extends PassingResponse {
  request: Sink | undefined = undefined;
  readonly #timer: Timer;

  constructor(response: ResponseSink, timeoutMs: number, clock: Clock) {
    super(response);
    this.#timer = clock.after(timeoutMs, () => this.#expire(timeoutMs));
  }

  stop(): void {
    this.#timer.cancel();
  }

  override head(head: ResponseHead, last: boolean): void {
    this.stop();
    this.response.head(head, last);
  }
  override reset(error: ProxyError): void {
    this.stop();
    this.response.reset(error);
  }

  #expire(timeoutMs: number): void {
    const error = new ProxyError("profile_timeout", `HTTP response timeout after ${formatMs(timeoutMs)}`, {
      side: "proxy",
    });
    this.request?.reset(new ProxyError("canceled", error.message, { cause: error, side: "proxy" }));
    this.response.reset(error);
  }
}

class TimedRequest extends PassingRequest {
  readonly #timed: TimedResponse;

  constructor(timed: TimedResponse, request: Sink) {
    super(request);
    this.#timed = timed;
  }

  override reset(error: ProxyError): void {
    this.#timed.stop();
    this.request.reset(error);
  }
}

/** `1.5s`, `250ms`. */
function formatMs(ms: number): string {
  return ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}
