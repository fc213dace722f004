import type { ProxyError } from "../errors/proxy-error.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "./message.ts";

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
    return new ObservedRequest(this, service.call(head, last, this));
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

class ObservedRequest implements Sink {
  readonly #exchange: ObservedExchange;
  readonly #inner: Sink;

  constructor(exchange: ObservedExchange, inner: Sink) {
    this.#exchange = exchange;
    this.#inner = inner;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (last) this.#exchange.onRequestEnd();
    this.#inner.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    this.#exchange.onRequestEnd();
    this.#inner.trailers(fields);
  }
  reset(error: ProxyError): void {
    this.#exchange.canceled(error);
    this.#inner.reset(error);
  }
  credit(bytes: number): void {
    this.#inner.credit(bytes);
  }
}
