import type { ProxyError } from "../../errors/proxy-error.ts";
import { RequestHead, type HttpService, type ResponseSink, type Sink } from "../../http/message.ts";
import { ReplayBuffer } from "../../http/replay-buffer.ts";
import type { RetryTokens } from "../../policy/retry-tokens.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import { NameRole, type HeaderField } from "../../wire/header-field.ts";
import { ProfileAttempt, type RetryingExchange } from "./profile-attempt.ts";
import type { Outcome } from "../../classify/http.ts";
import type { ProfileClassifier } from "../../policy/profile-classify.ts";
import type { ProfileRouteMetrics } from "./profile-metrics.ts";

/** Request bodies up to this size are kept for a retry. Source: linkerd2-proxy, linkerd/app/outbound/src/http/retry.rs. */
export const PROFILE_REPLAY_BYTES = 64 * 1024;

export interface ProfileRetryParams {
  readonly clock: Clock;
  readonly classifier: ProfileClassifier;
  /** Shared by all routes of the profile. */
  readonly tokens: RetryTokens;
  readonly metrics: ProfileRouteMetrics;
}

/**
 * Retries the requests of a retryable profile route while its budget lasts: without pauses, without a limit on their
 * number. Only responses are retried, those that count as failures; an attempt that ends without a response is final.
 *
 * A request is retried only if its whole body was sent and kept. Upgrades, and bodies that say that they are larger than
 * what is kept, pass as if the route were not retryable.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/retry.rs.
 */
export class ProfileRetry implements HttpService {
  readonly #inner: HttpService;
  readonly #params: ProfileRetryParams;

  constructor(inner: HttpService, params: ProfileRetryParams) {
    this.#inner = inner;
    this.#params = params;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (head.upgrade || (!last && contentLength(head.fields) > PROFILE_REPLAY_BYTES)) {
      return this.#inner.call(head, last, response);
    }
    const exchange = new RetriedExchange(this.#inner, this.#params, head, last, response);
    exchange.attempt();
    return exchange;
  }
}

/** A request with the attempts at it, of which at most one is under way. It is the request sink for the application. */
class RetriedExchange implements Sink, RetryingExchange {
  readonly clock: Clock;
  readonly classifier: ProfileClassifier;
  readonly grpcOnly: boolean;
  readonly response: ResponseSink;
  readonly #inner: HttpService;
  readonly #params: ProfileRetryParams;
  /** As the application sent it: layers below change what they get. */
  readonly #head: RequestHead;
  readonly #last: boolean;
  #attempts = 0;
  /** An attempt is being made: what it is answered comes before all of it was sent. */
  #isSending = false;
  #current: ProfileAttempt | undefined = undefined;
  #pause: Timer | undefined = undefined;
  #body: ReplayBuffer | undefined = undefined;
  #trailers: HeaderField[] | undefined = undefined;
  /** All of the request has come. */
  #complete: boolean;
  /** The response was decided on, or part of the request was lost: there will be no other attempt. */
  #settled = false;
  /** Bytes of the request for which the application has credit again. A retry sends them anew, and must not give it twice. */
  #credited = 0;

  constructor(
    inner: HttpService,
    params: ProfileRetryParams,
    head: RequestHead,
    last: boolean,
    response: ResponseSink,
  ) {
    this.#inner = inner;
    this.#params = params;
    this.clock = params.clock;
    this.#head = head;
    this.#last = last;
    this.#complete = last;
    this.response = response;
    this.classifier = params.classifier;
    this.grpcOnly = params.classifier.isGrpcOnly(head.fields);
  }

  attempt(): void {
    const isFirst = this.#attempts++ === 0;
    const attempt = new ProfileAttempt(this);
    this.#current = attempt;
    // Taken now: an attempt that is answered at once lets go of the body, yet it is owed a whole request.
    const body = this.#body;
    const bytes = body?.bytes ?? NOTHING;
    const length = body?.length ?? 0;
    const trailers = this.#trailers;
    this.#isSending = true;
    attempt.begin(this.#inner, copyOf(this.#head, isFirst), this.#last);
    if (!isFirst && !this.#last) {
      if (length > 0 || trailers === undefined) {
        this.#current?.sendData(bytes, 0, length, trailers === undefined);
      }
      if (trailers !== undefined) this.#current?.sendTrailers(trailers.slice());
    }
    this.#isSending = false;
  }

  /** Whatever is not to be retried pays in, also a failure that cannot be retried. */
  wantsRetry(outcome: Outcome): boolean {
    const { clock, tokens, metrics } = this.#params;
    if (outcome.classification === "success" || !this.#complete || this.#settled) {
      tokens.deposit(clock.nowMs());
      return false;
    }
    const hasBudget = tokens.withdraw(clock.nowMs());
    metrics.countRetryable(hasBudget);
    return hasBudget;
  }

  /** An answer to what is being sent gets its retry in another turn: a service that always answers so would never give the event loop back. */
  retry(): void {
    this.#current = undefined;
    if (this.#isSending) this.#pause = this.#params.clock.after(0, () => this.attempt());
    else this.attempt();
  }

  settle(): void {
    this.#settled = true;
    this.#body?.spill();
    this.#trailers = undefined;
  }

  creditUpTo(bytes: number): void {
    const due = bytes - this.#credited;
    if (due <= 0) return;
    this.#credited = bytes;
    this.response.credit(due);
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (!this.#settled) {
      this.#body ??= new ReplayBuffer(PROFILE_REPLAY_BYTES);
      if (!this.#body.append(buffer, start, end)) this.settle();
    }
    this.#complete = last;
    this.#current?.sendData(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    if (!this.#settled) {
      this.#body ??= new ReplayBuffer(PROFILE_REPLAY_BYTES);
      this.#trailers = fields.slice();
    }
    this.#complete = true;
    this.#current?.sendTrailers(fields);
  }
  reset(error: ProxyError): void {
    this.#pause?.cancel();
    this.settle();
    const attempt = this.#current;
    this.#current = undefined;
    attempt?.cancel(error);
  }
  credit(bytes: number): void {
    this.#current?.giveCredit(bytes);
  }
}

/** Retries are in origin-form whatever the request was, as those of linkerd2-proxy. */
function copyOf(head: RequestHead, isFirst: boolean): RequestHead {
  const { version, method, scheme, authority, path, fields, startedAtMs } = head;
  const copy = new RequestHead(version, method, scheme, authority, path, fields.slice(), startedAtMs);
  copy.absoluteForm = isFirst && head.absoluteForm;
  copy.client = head.client;
  copy.routeLabels = head.routeLabels;
  return copy;
}

const NOTHING = Buffer.alloc(0);

function contentLength(fields: readonly HeaderField[]): number {
  for (const { name, value } of fields) if (name.role === NameRole.contentLength) return Number(value);
  return 0;
}
