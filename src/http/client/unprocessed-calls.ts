import type { ProxyError } from "../../errors/proxy-error.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../message.ts";
import { PassingResponse } from "../passing-response.ts";
import { PendingExchange } from "../pending-exchange.ts";
import { PROCESS_REPLAY_MEMORY } from "../replay-buffer.ts";

/** A call that the server says it has not looked at (RFC 9113 section 8.7), with all that was sent of it. */
export interface UnprocessedCall {
  readonly head: RequestHead;
  /** The head was the whole request. */
  readonly last: boolean;
  readonly body: Buffer;
  readonly trailers: HeaderField[] | undefined;
  /** The whole request has come. */
  readonly ended: boolean;
  /** Bytes of the body that the caller has credit for. */
  readonly credited: number;
  readonly response: ResponseSink;
  /** What the call comes to if it is not made again. */
  readonly error: ProxyError;
}

/** Calls of one server that wait to be made again. As many streams as servers commonly allow, ten times over. */
const WAITING_MAX = 1_000;

/**
 * Calls that are to be made again, each once, on the connection that stands next.
 *
 * They wait for one attempt to connect and no longer, and hold no more bodies than retries may together (LIM-20).
 *
 * Source: faults-and-threats HC-01, HC-03.
 */
export class UnprocessedCalls {
  readonly #waiting = new Map<PendingExchange, UnprocessedCall>();

  /** @returns where the rest of the request goes from now on; undefined if there is no room. */
  add(call: UnprocessedCall): Sink | undefined {
    const { head, last, body, trailers, ended, credited } = call;
    if (this.#waiting.size >= WAITING_MAX || !PROCESS_REPLAY_MEMORY.take(body.length)) return undefined;
    // What is sent again gives credit again, which the caller has had already.
    const response = credited > 0 ? new CreditedResponse(call.response, credited) : call.response;
    const pending = new PendingExchange(head, last, response);
    pending.onCanceled = () => this.#leave(pending, call);
    if (body.length > 0 || (ended && !last && trailers === undefined)) {
      pending.data(body, 0, body.length, ended && trailers === undefined);
    }
    if (trailers !== undefined) pending.trailers(trailers);
    this.#waiting.set(pending, call);
    return pending;
  }

  sendTo(service: HttpService): void {
    // A copy: an end that a call comes to at once may bring others here.
    for (const [pending, call] of [...this.#waiting]) {
      this.#leave(pending, call);
      pending.start(service);
    }
  }

  /** There is no connection to make them on: each fails for what ended its first attempt. */
  fail(): void {
    for (const [pending, call] of [...this.#waiting]) {
      this.#leave(pending, call);
      pending.fail(call.error);
    }
  }

  #leave(pending: PendingExchange, { body }: UnprocessedCall): void {
    this.#waiting.delete(pending);
    PROCESS_REPLAY_MEMORY.give(body.length);
  }
}

/** A response to a caller that has some of the credit already. */
class CreditedResponse extends PassingResponse {
  #ahead: number;

  constructor(response: ResponseSink, ahead: number) {
    super(response);
    this.#ahead = ahead;
  }

  override credit(bytes: number): void {
    const had = Math.min(bytes, this.#ahead);
    this.#ahead -= had;
    if (bytes > had) this.response.credit(bytes - had);
  }
}
