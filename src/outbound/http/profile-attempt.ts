import { ProxyError } from "../../errors/proxy-error.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "../../http/message.ts";
import type { Clock } from "../../time/clock.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import { HeldResponse } from "./held-response.ts";
import type { Outcome } from "../../classify/http.ts";
import type { ProfileClassifier } from "../../policy/profile-classify.ts";

/** What an attempt needs of the exchange that it belongs to. */
export interface RetryingExchange {
  readonly clock: Clock;
  readonly classifier: ProfileClassifier;
  readonly grpcOnly: boolean;
  /** Towards the application. */
  readonly response: ResponseSink;
  /** Whether a response is to be dropped for another attempt, which is then paid for; else the response is the one. */
  wantsRetry(outcome: Outcome): boolean;
  retry(): void;
  /** The attempt is the last one. */
  settle(): void;
  /** The attempt has passed on its first `bytes` of the request. */
  creditUpTo(bytes: number): void;
}

/**
 * Where an attempt stands. `held`: its response has begun, and what comes next decides whether it is dropped.
 *
 *   waiting -> held -> passing
 *      |         |
 *      '---------'----> dropped
 */
type Stage = "waiting" | "held" | "passing" | "dropped";

/**
 * One attempt at a request: it shows its response to the exchange before the application sees any of it.
 *
 * Most outcomes are told by the head. Where the trailers may have a say and the response is HTTP/2, it is held
 * (`HeldResponse`).
 */
export class ProfileAttempt implements ResponseSink {
  readonly #exchange: RetryingExchange;
  #stage: Stage = "waiting";
  #sink: Sink | undefined = undefined;
  /** Told to the sink as soon as the call has returned it. */
  #creditDue = 0;
  #resetDue: ProxyError | undefined = undefined;
  /** Bytes of the request that the service has passed on. */
  #passedOn = 0;
  #held: HeldResponse | undefined = undefined;

  constructor(exchange: RetryingExchange) {
    this.#exchange = exchange;
  }

  begin(service: HttpService, head: RequestHead, last: boolean): void {
    const sink = service.call(head, last, this);
    this.#sink = sink;
    if (this.#resetDue !== undefined) sink.reset(this.#resetDue);
    else if (this.#creditDue > 0) sink.credit(this.#creditDue);
  }

  sendData(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#sink?.data(buffer, start, end, last);
  }
  sendTrailers(fields: HeaderField[]): void {
    this.#sink?.trailers(fields);
  }
  giveCredit(bytes: number): void {
    if (this.#sink === undefined) this.#creditDue += bytes;
    else this.#sink.credit(bytes);
  }
  /** The application gave up. */
  cancel(error: ProxyError): void {
    this.#stage = "dropped";
    this.#held?.drop();
    this.#reset(error);
  }

  head(head: ResponseHead, last: boolean): void {
    if (this.#stage !== "waiting") return;
    const { classifier, grpcOnly, clock } = this.#exchange;
    const outcome = classifier.atHead(grpcOnly, head.status, head.fields);
    if (outcome === undefined && !last && head.version === 20) {
      this.#stage = "held";
      this.#held = new HeldResponse(head, clock, () => this.#decide(undefined, false));
      return;
    }
    if (this.#isDropped(outcome ?? classifier.atEnd(grpcOnly, head.status, undefined), last)) return;
    this.#exchange.response.head(head, last);
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#stage === "held") {
      if (this.#held?.hold(buffer, start, end, last) === true) return;
      this.#decide(undefined, last);
    }
    if (this.#stage === "passing") this.#exchange.response.data(buffer, start, end, last);
    else if (last && end > start) this.giveCredit(end - start);
  }
  trailers(fields: HeaderField[]): void {
    this.#decide(fields, true);
    if (this.#stage === "passing") this.#exchange.response.trailers(fields);
  }
  reset(error: ProxyError): void {
    if (this.#stage === "waiting") {
      // Without a response there is nothing to judge: it is not retried, and pays in.
      this.#exchange.wantsRetry(NO_RESPONSE);
      this.#pass();
    }
    this.#decide(undefined, true);
    if (this.#stage === "passing") this.#exchange.response.reset(error);
  }
  credit(bytes: number): void {
    if (this.#stage === "dropped") return;
    this.#passedOn += bytes;
    this.#exchange.creditUpTo(this.#passedOn);
  }

  /** Ends the holding of a response. */
  #decide(trailers: readonly HeaderField[] | undefined, over: boolean): void {
    const held = this.#held;
    if (this.#stage !== "held" || held === undefined) return;
    const { classifier, grpcOnly, response } = this.#exchange;
    if (!this.#isDropped(classifier.atEnd(grpcOnly, held.head.status, trailers), over)) held.passTo(response);
  }

  /** @param over nothing more will come of this attempt. */
  #isDropped(outcome: Outcome, over: boolean): boolean {
    if (!this.#exchange.wantsRetry(outcome)) {
      this.#pass();
      return false;
    }
    this.#stage = "dropped";
    const dropped = this.#held?.length ?? 0;
    this.#held?.drop();
    // Nobody else will give credit for what was held, and the connection lives on.
    if (over && dropped > 0) this.giveCredit(dropped);
    if (!over)
      this.#reset(new ProxyError("canceled", "the response is dropped for a retry", { side: "proxy" }));
    this.#exchange.retry();
    return true;
  }

  #pass(): void {
    this.#stage = "passing";
    this.#exchange.settle();
  }

  #reset(error: ProxyError): void {
    if (this.#sink === undefined) this.#resetDue = error;
    else this.#sink.reset(error);
  }
}

const NO_RESPONSE: Outcome = { classification: "success", grpcStatus: "" };
