import type { ProxyError } from "../errors/proxy-error.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "./message.ts";
import { PassingRequest } from "./passing-request.ts";

/**
 * An exchange that somebody watches: its head, the first byte of its response, and its one end, whichever side brings
 * it about. Layers that measure extend it; all calls pass through unchanged.
 */
export abstract class ObservedExchange implements ResponseSink {
  readonly #response: ResponseSink;
  #firstByteSeen = false;
  #over = false;

  constructor(response: ResponseSink) {
    this.#response = response;
  }

  /** Calls `service` with this exchange in between, and returns the request sink for the caller. */
  start(service: HttpService, head: RequestHead, last: boolean): Sink {
    if (last) this.onRequestEnd();
    return this.observe(service.call(head, last, this));
  }

  /** The request sink for the caller: overridden by who looks at the body as well. */
  protected observe(request: Sink): Sink {
    return new ObservedRequest(this, request);
  }

  /** The whole request has come; never for one that was given up. */
  onRequestEnd(): void {}
  protected abstract onHead(head: ResponseHead): void;
  /** The first byte of the response body, or its end if it has none (also by error): exactly once, before `onEnd`. */
  protected abstract onFirstByte(): void;
  protected abstract onTrailers(fields: readonly HeaderField[]): void;
  /** Exactly once. `error` is undefined for a complete response; `canceled` tells that the client gave up. */
  protected abstract onEnd(error: ProxyError | undefined, canceled: boolean): void;

  head(head: ResponseHead, last: boolean): void {
    this.onHead(head);
    if (last) this.#finish(undefined, false);
    this.#response.head(head, last);
  }
  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (!this.#firstByteSeen) {
      this.#firstByteSeen = true;
      this.onFirstByte();
    }
    if (last) this.#finish(undefined, false);
    this.#response.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    this.onTrailers(fields);
    this.#finish(undefined, false);
    this.#response.trailers(fields);
  }
  reset(error: ProxyError): void {
    this.#finish(error, false);
    this.#response.reset(error);
  }
  credit(bytes: number): void {
    this.#response.credit(bytes);
  }

  /** The client gave up. */
  canceled(error: ProxyError): void {
    this.#finish(error, true);
  }

  #finish(error: ProxyError | undefined, canceled: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#firstByteSeen) {
      this.#firstByteSeen = true;
      this.onFirstByte();
    }
    this.onEnd(error, canceled);
  }
}

/** The request of an observed exchange: it tells when the request is complete, or given up. */
export class ObservedRequest extends PassingRequest {
  readonly #exchange: ObservedExchange;

  constructor(exchange: ObservedExchange, request: Sink) {
    super(request);
    this.#exchange = exchange;
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (last) this.#exchange.onRequestEnd();
    this.request.data(buffer, start, end, last);
  }
  override trailers(fields: HeaderField[]): void {
    this.#exchange.onRequestEnd();
    this.request.trailers(fields);
  }
  override reset(error: ProxyError): void {
    this.#exchange.canceled(error);
    this.request.reset(error);
  }
}
