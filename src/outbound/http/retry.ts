import { ProxyError } from "../../errors/proxy-error.ts";
import { copyRequestHead } from "../../http/copy-request-head.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "../../http/message.ts";
import { ReplayBuffer } from "../../http/replay-buffer.ts";
import { Backoff } from "../../time/backoff.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import { HeldResponse } from "./held-response.ts";
import type { RetryCounters } from "./route-metrics.ts";
import { areRetryableTrailers, isRetryableError, judgeHead, type RetryPolicy } from "./retry-policy.ts";

/** What the requests of a route share. */
export interface RetryContext {
  /** Called once for each attempt: filters, choice of a backend. */
  readonly attempts: HttpService;
  readonly clock: Clock;
  readonly random: () => number;
  /** Asked once there is a request to retry, so that others show no series of zeros. */
  readonly metrics: { readonly retries: RetryCounters };
}

/**
 * A request and the attempts made for it: what the application sends goes to the attempt under way and is kept for the next
 * one; of the responses the first that is not worth a retry goes back.
 *
 * Every attempt gets the request as it came. From the moment a response is passed on this only forwards.
 *
 * Credit: an attempt that is made again credits bytes that the application has credit for already. So what attempts say is
 * counted, and only what goes beyond all earlier ones is passed on.
 *
 * Source: outbound 8; linkerd2-proxy, linkerd/http/retry/src/lib.rs.
 */
export class RetriedExchange implements Sink {
  readonly #context: RetryContext;
  readonly #counters: RetryCounters;
  readonly #policy: RetryPolicy;
  readonly #response: ResponseSink;
  readonly #pristine: RequestHead;
  readonly #body: ReplayBuffer;
  /** The request is complete; then also with which trailers. */
  #ended: boolean;
  #trailers: HeaderField[] | undefined = undefined;
  #attempt: Attempt;
  /** Of the attempt under way, from 1. */
  #number = 1;
  #backoff: Backoff | undefined = undefined;
  #pause: Timer | undefined = undefined;
  /** Why the attempt before the pause brought no response. */
  #failure: ProxyError | undefined = undefined;
  /** Request bytes that the application has credit for. */
  #credited = 0;
  /** A response that was not passed on asked that the application's connection end. */
  #closeConnection = false;
  #over = false;

  private constructor(
    context: RetryContext,
    policy: RetryPolicy,
    head: RequestHead,
    last: boolean,
    response: ResponseSink,
  ) {
    this.#context = context;
    this.#counters = context.metrics.retries;
    this.#policy = policy;
    this.#response = response;
    this.#pristine = copyRequestHead(head);
    this.#body = new ReplayBuffer(policy.maxRequestBytes);
    this.#ended = last;
    this.#attempt = new Attempt(this, policy, response, context.clock);
  }

  /** Makes the first attempt. Not for tunnels, nor for a body that says that it is larger than what may be kept. */
  static begin(
    context: RetryContext,
    policy: RetryPolicy,
    head: RequestHead,
    last: boolean,
    response: ResponseSink,
  ): Sink {
    const exchange = new RetriedExchange(context, policy, head, last, response);
    exchange.#attempt.start(context.attempts, head, last);
    return exchange;
  }

  // ---- the request

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#over) return;
    if (last) this.#ended = true;
    this.#body.append(buffer, start, end);
    if (this.#pause === undefined) this.#attempt.send(buffer, start, end, last);
    else if (this.#body.spilled) this.#giveUpRetry();
  }

  trailers(fields: HeaderField[]): void {
    if (this.#over) return;
    this.#ended = true;
    // Whoever gets fields may change them in place.
    this.#trailers = fields.slice();
    if (this.#pause === undefined) this.#attempt.sendTrailers(fields);
  }

  reset(error: ProxyError): void {
    if (this.#over) return;
    this.#end();
    this.#attempt.cancel(error);
  }

  credit(bytes: number): void {
    this.#attempt.creditResponse(bytes);
  }

  // ---- what attempts tell

  /** The application gets this response: there is nothing left to retry. @returns whether its connection is to end. */
  commit(isSuccess: boolean): boolean {
    if (isSuccess && this.#number > 1) this.#counters.successes.value++;
    this.#body.spill();
    return this.#closeConnection;
  }

  /** A response is worth a retry. @returns whether there will be one; its rest may then be dropped. */
  retryAfterResponse(head: ResponseHead): boolean {
    // Part of the request is still on its way to a server that has answered: nothing can be sent again.
    if (!this.#ended || !this.#retry()) return false;
    if (head.closeConnection) this.#closeConnection = true;
    return true;
  }

  /** An attempt ended without a response. */
  failed(error: ProxyError): void {
    if (isRetryableError(error)) {
      this.#failure = error;
      if (this.#retry()) return;
    } else if (error.code === "loadshed" && this.#number > 1) {
      this.#counters.overflow.value++;
    }
    this.#end();
    this.#response.reset(error);
  }

  /** @param total request bytes that an attempt has credited. */
  credited(total: number): void {
    const more = total - this.#credited;
    if (more <= 0 || this.#over) return;
    this.#credited = total;
    this.#response.credit(more);
  }

  // ---- attempts

  #retry(): boolean {
    if (this.#over || this.#body.spilled) return false;
    if (this.#number > this.#policy.maxRetries) {
      this.#counters.limitExceeded.value++;
      return false;
    }
    const { clock, random } = this.#context;
    const { backoff } = this.#policy;
    if (backoff !== undefined) this.#backoff ??= new Backoff(backoff, random);
    // Without a pause too: attempts that fail while they are being made must not pile up on the stack.
    this.#pause = clock.after(this.#backoff?.next() ?? 0, () => this.#next());
    return true;
  }

  #next(): void {
    this.#pause = undefined;
    this.#failure = undefined;
    this.#attempt.abandon();
    this.#number++;
    this.#counters.requests.value++;
    // Taken now: an attempt that is answered at once lets go of the body, yet it is owed a whole request.
    const { bytes, length } = this.#body;
    const trailers = this.#trailers;
    const ends = this.#ended && trailers === undefined;
    const attempt = new Attempt(this, this.#policy, this.#response, this.#context.clock);
    this.#attempt = attempt;
    attempt.start(this.#context.attempts, this.#headOfRetry(), ends && length === 0);
    if (length > 0) attempt.send(bytes, 0, length, ends);
    if (trailers !== undefined) attempt.sendTrailers(trailers.slice());
  }

  /** The form of the request target is not kept, and the last attempt may take its time: nobody waits to decide (as the model). */
  #headOfRetry(): RequestHead {
    const head = copyRequestHead(this.#pristine);
    head.absoluteForm = false;
    const { timeouts } = head;
    if (timeouts?.headersMs !== undefined && this.#number > this.#policy.maxRetries) {
      head.timeouts = { ...timeouts, headersMs: undefined };
    }
    return head;
  }

  /** The request outgrew what is kept while the next attempt waited: the failure before stands. */
  #giveUpRetry(): void {
    const failure = this.#failure;
    this.#end();
    if (failure !== undefined) this.#response.reset(failure);
  }

  #end(): void {
    this.#over = true;
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#body.spill();
  }
}

type AttemptState =
  /** No response yet. */
  | "open"
  /** The head is held until the first frames of the body have been seen. */
  | "peeking"
  /** The response is the application's. */
  | "passing"
  /** The response is dropped: it has until the next attempt to come to its end, which keeps an HTTP/1 connection. */
  | "discarded"
  /** Complete, failed or given up. */
  | "over";

/** One attempt: the response sink of its service, and the way to it. */
class Attempt implements ResponseSink {
  readonly #exchange: RetriedExchange;
  readonly #clock: Clock;
  readonly #policy: RetryPolicy;
  readonly #response: ResponseSink;
  #state: AttemptState = "open";
  #request: Sink | undefined = undefined;
  /** What came up while the service was being called. */
  #creditDue = 0;
  #cancelDue: ProxyError | undefined = undefined;
  /** Request bytes that the service has credited. */
  #credited = 0;
  #held: HeldResponse | undefined = undefined;
  /** Response bytes that were dropped, and are credited if it comes to its end. */
  #dropped = 0;

  constructor(exchange: RetriedExchange, policy: RetryPolicy, response: ResponseSink, clock: Clock) {
    this.#exchange = exchange;
    this.#clock = clock;
    this.#policy = policy;
    this.#response = response;
  }

  start(service: HttpService, head: RequestHead, last: boolean): void {
    const request = service.call(head, last, this);
    this.#request = request;
    if (this.#cancelDue !== undefined) request.reset(this.#cancelDue);
    else if (this.#creditDue > 0) request.credit(this.#creditDue);
  }

  // ---- the request

  send(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#request?.data(buffer, start, end, last);
  }

  sendTrailers(fields: HeaderField[]): void {
    this.#request?.trailers(fields);
  }

  creditResponse(bytes: number): void {
    if (this.#request !== undefined) this.#request.credit(bytes);
    else this.#creditDue += bytes;
  }

  /** The application has left. */
  cancel(error: ProxyError): void {
    this.#state = "over";
    this.#letGo();
    if (this.#request !== undefined) this.#request.reset(error);
    else this.#cancelDue = error;
  }

  /** The next attempt begins: what has not come of a dropped response is not waited for. */
  abandon(): void {
    if (this.#state === "discarded")
      this.cancel(new ProxyError("canceled", "tried again", { side: "proxy" }));
  }

  // ---- the response

  head(head: ResponseHead, last: boolean): void {
    if (this.#state !== "open") return;
    switch (judgeHead(this.#policy, head, last)) {
      case "final":
        return this.#pass(head, last, true);
      case "peek":
        this.#state = "peeking";
        this.#held = new HeldResponse(head, this.#clock, () => this.#release(true));
        return;
      case "retry":
        if (!this.#exchange.retryAfterResponse(head)) this.#pass(head, last, false);
        else this.#state = last ? "over" : "discarded";
    }
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#state === "passing") return this.#response.data(buffer, start, end, last);
    if (this.#state === "discarded") return this.#drop(end - start, last);
    if (this.#state !== "peeking" || this.#held?.hold(buffer, start, end, last) === true) return;
    this.#release(true);
    this.#response.data(buffer, start, end, last);
  }

  trailers(fields: HeaderField[]): void {
    if (this.#state === "passing") return this.#response.trailers(fields);
    if (this.#state === "discarded") return this.#drop(0, true);
    const held = this.#held;
    if (this.#state !== "peeking" || held === undefined) return;
    const isRetryable = areRetryableTrailers(this.#policy, fields);
    if (isRetryable && this.#exchange.retryAfterResponse(held.head)) {
      this.#state = "discarded";
      return this.#drop(held.length, true);
    }
    this.#release(!isRetryable);
    this.#response.trailers(fields);
  }

  reset(error: ProxyError): void {
    const state = this.#state;
    if (state === "peeking") this.#release(true);
    this.#state = "over";
    if (state === "open") this.#exchange.failed(error);
    else if (state !== "discarded" && state !== "over") this.#response.reset(error);
  }

  credit(bytes: number): void {
    // What an attempt that counts no more still sends out is sent again by the next one.
    if (this.#state === "discarded" || this.#state === "over") return;
    this.#credited += bytes;
    this.#exchange.credited(this.#credited);
  }

  #pass(head: ResponseHead, last: boolean, isSuccess: boolean): void {
    this.#commit(head, isSuccess);
    this.#response.head(head, last);
  }

  #commit(head: ResponseHead, isSuccess: boolean): void {
    this.#state = "passing";
    if (this.#exchange.commit(isSuccess)) head.closeConnection = true;
  }

  /** Ends peeking, if it has not ended yet: what was held is passed on. */
  #release(isSuccess: boolean): void {
    const held = this.#held;
    if (this.#state !== "peeking" || held === undefined) return;
    this.#held = undefined;
    this.#commit(held.head, isSuccess);
    held.passTo(this.#response);
  }

  #drop(bytes: number, last: boolean): void {
    this.#dropped += bytes;
    if (!last) return;
    this.#state = "over";
    this.#letGo();
    this.creditResponse(this.#dropped);
  }

  #letGo(): void {
    this.#held?.drop();
    this.#held = undefined;
  }
}
