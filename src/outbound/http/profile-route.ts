import { formatNameAddr, type NameAddr } from "../../addr/name-addr.ts";
import type { Distributor } from "../../balance/distribution.ts";
import { ProxyError } from "../../errors/proxy-error.ts";
import { L5D_DST_CANONICAL } from "../../headers.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../http/message.ts";
import { tooManyInFlight } from "../../http/too-many-in-flight.ts";
import type { Log } from "../../log/log.ts";
import type { Families } from "../../metrics/families.ts";
import type { ProfileRoute } from "../../policy/client-policy.ts";
import type { RetryTokens } from "../../policy/retry-tokens.ts";
import type { ConcurrencyLimit, Place } from "../../stack/concurrency-limit.ts";
import type { Clock } from "../../time/clock.ts";
import { headerName, internField, removeFields, type HeaderField } from "../../wire/header-field.ts";
import type { HttpBackend } from "./backend.ts";
import { ProfileClassifier } from "../../policy/profile-classify.ts";
import { ProfileExchange, type ProfileCounters } from "../../http/profile-counters.ts";
import { ProfileRouteMetrics } from "./profile-metrics.ts";
import { ProfileRetry } from "./profile-retry.ts";
import { ProfileTimeout } from "./profile-timeout.ts";

/** What all profile routes of a proxy share. */
export interface ProfileContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly families: Families;
  readonly log: Log;
  /** Requests of the whole proxy that wait for response headers (LIM-23). */
  readonly inFlight: ConcurrencyLimit;
}

/** The route that a stack is built for. */
export interface ProfileRouteTarget {
  readonly logical: NameAddr;
  readonly route: ProfileRoute;
  /** Where all routes of the profile send requests. */
  readonly distributor: Distributor<HttpBackend>;
  /** Shared by all routes of the profile; undefined if it has no budget, and then there are no retries. */
  readonly tokens: RetryTokens | undefined;
}

/**
 * One route of a profile. From the outside in: the canonical name is told to the server; the request is counted; the
 * timeout runs over all attempts; each attempt is counted, and sent to one of the profile's targets.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/profile.rs.
 */
export class ProfileRouteStack implements HttpService {
  readonly #metrics: ProfileRouteMetrics;
  readonly #classifier: ProfileClassifier;
  readonly #canonical: HeaderField;
  /** Undefined for the default route, which is none of the profile's. */
  readonly #routeLabels: ProfileRoute["labels"] | undefined;
  readonly #prefix: string;
  readonly #inFlight: ConcurrencyLimit;
  readonly #inner: HttpService;
  /** Where nothing below can make two attempts of one request, attempts are counted with it. */
  readonly #onlyAttempt: ProfileCounters | undefined;

  constructor({ logical, route, distributor, tokens }: ProfileRouteTarget, context: ProfileContext) {
    const { clock, families, inFlight, random } = context;
    const name = formatNameAddr(logical);
    this.#metrics = new ProfileRouteMetrics(families, logical, route, () => clock.nowMs());
    this.#classifier = new ProfileClassifier(route.responseClasses);
    this.#canonical = internField(DST_CANONICAL, name);
    this.#routeLabels = route.labels.length === 0 ? undefined : route.labels;
    this.#prefix = `logical service ${name}`;
    this.#inFlight = inFlight;
    const targets = new ProfileTargets(distributor, random);
    const isPlain = route.timeoutMs === undefined && (!route.isRetryable || tokens === undefined);
    this.#onlyAttempt = isPlain ? this.#metrics.actual : undefined;
    this.#inner = isPlain ? targets : this.#withAttempts(route, tokens, targets, clock);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const place = this.#inFlight.enter();
    if (place === undefined) {
      response.reset(tooManyInFlight().within(this.#prefix));
      return new DiscardSink(response);
    }
    removeFields(head.fields, DST_CANONICAL);
    head.fields.push(this.#canonical);
    head.routeLabels = this.#routeLabels;
    return new RoutedExchange(
      this.#classifier,
      this.#metrics.route,
      this.#onlyAttempt,
      head,
      response,
      this.#prefix,
      place,
    ).start(this.#inner, head, last);
  }

  close(): void {
    this.#metrics.close();
  }

  #withAttempts(
    { isRetryable, timeoutMs }: ProfileRoute,
    tokens: RetryTokens | undefined,
    targets: HttpService,
    clock: Clock,
  ): HttpService {
    const metrics = this.#metrics;
    const classifier = this.#classifier;
    const attempts = new CountedAttempts(targets, classifier, metrics.actual);
    const retried =
      isRetryable && tokens !== undefined
        ? new ProfileRetry(attempts, { clock, classifier, tokens, metrics })
        : attempts;
    return timeoutMs === undefined ? retried : new ProfileTimeout(retried, timeoutMs, clock);
  }
}

/** The choice of a target. Nothing waits here: a target that takes no requests now is passed over. */
class ProfileTargets implements HttpService {
  readonly #distributor: Distributor<HttpBackend>;
  readonly #random: () => number;

  constructor(distributor: Distributor<HttpBackend>, random: () => number) {
    this.#distributor = distributor;
    this.#random = random;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const backend = this.#distributor.pick(isAvailable, this.#random);
    if (backend !== undefined) return backend.call(head, last, response);
    response.reset(new ProxyError("loadshed", "service unavailable", { side: "proxy" }));
    return new DiscardSink(response);
  }
}

function isAvailable(backend: HttpBackend): boolean {
  return backend.available;
}

/** Every attempt is one exchange. */
class CountedAttempts implements HttpService {
  readonly #inner: HttpService;
  readonly #classifier: ProfileClassifier;
  readonly #counters: ProfileCounters;

  constructor(inner: HttpService, classifier: ProfileClassifier, counters: ProfileCounters) {
    this.#inner = inner;
    this.#classifier = classifier;
    this.#counters = counters;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const exchange = new ProfileExchange(this.#classifier, this.#counters, undefined, head, response);
    return exchange.start(this.#inner, head, last);
  }
}

/** A request of the application: it names its target in what goes wrong, and holds a place until its response begins. */
class RoutedExchange extends ProfileExchange {
  readonly #prefix: string;
  readonly #place: Place;

  constructor(
    classifier: ProfileClassifier,
    counters: ProfileCounters,
    attempt: ProfileCounters | undefined,
    head: RequestHead,
    response: ResponseSink,
    prefix: string,
    place: Place,
  ) {
    super(classifier, counters, attempt, head, response);
    this.#prefix = prefix;
    this.#place = place;
  }

  override reset(error: ProxyError): void {
    super.reset(error.within(this.#prefix));
  }
  protected override onHead(head: ResponseHead): void {
    this.#place.leave();
    super.onHead(head);
  }
  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    this.#place.leave();
    super.onEnd(error, canceled);
  }
}

const DST_CANONICAL = headerName(L5D_DST_CANONICAL);
