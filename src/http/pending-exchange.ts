import type { ProxyError } from "../errors/proxy-error.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "./message.ts";

/**
 * A request that waits for somewhere to go.
 *
 * It is the request sink that a caller gets while no endpoint is ready or a connection is still being made, and keeps
 * whatever arrives meanwhile. What it keeps is bounded by the rule of credit: nothing is credited before the request is
 * on its way, so a caller can have sent at most its window.
 *
 * Once started it only passes calls on, both ways.
 */
export class PendingExchange implements Sink {
  readonly head: RequestHead;
  readonly response: ResponseSink;
  readonly #last: boolean;
  #inner: Sink | undefined = undefined;
  #started = false;
  /** What happened while the service was being called, to be told to the sink that it gives back. */
  #creditDue = 0;
  #resetDue: ProxyError | undefined = undefined;
  #held: Buffer[] | undefined = undefined;
  #heldLast = false;
  #heldTrailers: HeaderField[] | undefined = undefined;
  #over = false;
  /** Called when the caller gives up before the request was started, so that a queue can drop it. */
  onCanceled: ((exchange: PendingExchange) => void) | undefined = undefined;

  constructor(head: RequestHead, last: boolean, response: ResponseSink) {
    this.head = head;
    this.#last = last;
    this.response = response;
  }

  /** Whether the exchange ended (canceled, or failed) before it was started. */
  get over(): boolean {
    return this.#over;
  }

  /** Sends the request, with everything that arrived since, to `service`. Does nothing if the caller has given up. */
  start(service: HttpService): void {
    if (this.#over || this.#started) return;
    this.#started = true;
    const inner = service.call(this.head, this.#last, this.response);
    this.#inner = inner;
    if (this.#resetDue !== undefined) return inner.reset(this.#resetDue);
    if (this.#creditDue > 0) inner.credit(this.#creditDue);
    const held = this.#held;
    this.#held = undefined;
    const count = held?.length ?? 0;
    for (let i = 0; i < count; i++) {
      const bytes = held?.[i];
      if (bytes !== undefined) inner.data(bytes, 0, bytes.length, this.#heldLast && i === count - 1);
    }
    if (this.#heldTrailers !== undefined) inner.trailers(this.#heldTrailers);
  }

  /** Ends an exchange that was never started. */
  fail(error: ProxyError): void {
    if (this.#over || this.#started) return;
    this.#over = true;
    this.#held = undefined;
    this.response.reset(error);
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#inner !== undefined) return this.#inner.data(buffer, start, end, last);
    if (this.#over) return;
    this.#held ??= [];
    this.#held.push(Buffer.from(buffer.subarray(start, end)));
    this.#heldLast = last;
  }

  trailers(fields: HeaderField[]): void {
    if (this.#inner !== undefined) return this.#inner.trailers(fields);
    this.#heldTrailers = fields;
  }

  reset(error: ProxyError): void {
    if (this.#inner !== undefined) return this.#inner.reset(error);
    if (this.#over) return;
    this.#over = true;
    this.#held = undefined;
    if (this.#started) this.#resetDue = error;
    else this.onCanceled?.(this);
  }

  credit(bytes: number): void {
    if (this.#inner !== undefined) this.#inner.credit(bytes);
    else this.#creditDue += bytes;
  }
}
