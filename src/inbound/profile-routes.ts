import { ProxyError } from "../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { PendingExchange } from "../http/pending-exchange.ts";
import { ProfileCounters, ProfileExchange } from "../http/profile-counters.ts";
import type { Families } from "../metrics/families.ts";
import { profileRouteLabels } from "../metrics/labels.ts";
import type { Profile, ProfileRoute } from "../policy/client-policy.ts";
import { ProfileClassifier } from "../policy/profile-classify.ts";
import { findProfileRoute } from "../policy/profile-match.ts";
import type { Clock } from "../time/clock.ts";
import type { Watch } from "../watch/watch.ts";

export interface ProfileRoutesOptions {
  readonly clock: Clock;
  readonly families: Families;
  /** How long requests wait for the profile to come. */
  readonly waitMs: number;
  /** Requests that may wait for it. */
  readonly capacity: number;
}

/** A route as requests meet it, made when the first one does. */
interface CountedRoute {
  readonly classifier: ProfileClassifier;
  readonly counters: ProfileCounters;
  /** For taps. */
  readonly labels: ProfileRoute["labels"];
}

/** The routes of one profile, if there is one, and who waits for it to come. */
export class ProfileRoutes {
  readonly #options: ProfileRoutesOptions;
  readonly #stop = new AbortController();
  #profile: Profile | undefined = undefined;
  #counted: (CountedRoute | undefined)[] = [];
  /** Undefined once the profile has come, or was waited for long enough. */
  #waiting: (() => void)[] | undefined = [];

  constructor(options: ProfileRoutesOptions) {
    this.#options = options;
    if (options.waitMs <= 0) this.#settle();
    else options.clock.after(options.waitMs, () => this.#settle());
  }

  /** Aborts when nobody holds the profile any more. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** @param profile undefined if the name has none. */
  follow(profile: Watch<Profile> | undefined): void {
    if (profile !== undefined && !this.#stop.signal.aborted) {
      this.#replace(profile.value);
      profile.subscribe(this.#stop.signal, (value) => this.#replace(value));
    }
    this.#settle();
  }

  /** The service, with its requests counted by route. */
  around(inner: HttpService): HttpService {
    return new ProfiledService(this, inner);
  }

  /** Whether requests still wait for the profile. */
  get isComing(): boolean {
    return this.#waiting !== undefined;
  }

  /** Calls back when the profile has come, or will not be waited for. @returns false if there are too many who wait. */
  whenSettled(resume: () => void): boolean {
    if (this.#waiting === undefined || this.#waiting.length >= this.#options.capacity) return false;
    this.#waiting.push(resume);
    return true;
  }

  /** The route that takes a request; undefined where there is none, and nothing is counted. */
  find(head: RequestHead): CountedRoute | undefined {
    const routes = this.#profile?.routes;
    if (routes === undefined || routes.length === 0) return undefined;
    const i = findProfileRoute(routes, head);
    const route = routes[i];
    return route && (this.#counted[i] ?? this.#count(i, route));
  }

  close(): void {
    this.#stop.abort();
    this.#settle();
    this.#letGo();
  }

  #count(i: number, route: ProfileRoute): CountedRoute | undefined {
    const logical = this.#profile?.logical;
    if (logical === undefined) return undefined;
    const { families, clock } = this.#options;
    const counted: CountedRoute = {
      classifier: new ProfileClassifier(route.responseClasses),
      counters: new ProfileCounters(
        {
          requests: families.routeRequestTotal,
          responses: families.routeResponseTotal,
          latencyMs: families.routeResponseLatencyMs,
        },
        profileRouteLabels("inbound", logical, route.labels),
        () => clock.nowMs(),
      ),
      labels: route.labels,
    };
    this.#counted[i] = counted;
    return counted;
  }

  #replace(profile: Profile): void {
    this.#letGo();
    this.#profile = profile;
  }

  #letGo(): void {
    for (const route of this.#counted) route?.counters.close();
    this.#counted = [];
  }

  #settle(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const resume of waiting ?? []) resume();
  }
}

class ProfiledService implements HttpService {
  readonly #routes: ProfileRoutes;
  readonly #inner: HttpService;

  constructor(routes: ProfileRoutes, inner: HttpService) {
    this.#routes = routes;
    this.#inner = inner;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#routes.isComing) return this.#wait(head, last, response);
    const route = this.#routes.find(head);
    if (route === undefined) return this.#inner.call(head, last, response);
    head.routeLabels = route.labels;
    const exchange = new ProfileExchange(route.classifier, route.counters, undefined, head, response);
    return exchange.start(this.#inner, head, last);
  }

  #wait(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const pending = new PendingExchange(head, last, response);
    if (this.#routes.whenSettled(() => pending.start(this))) return pending;
    const error = new ProxyError("loadshed", "too many requests wait for a profile", { side: "proxy" });
    response.reset(error);
    return new DiscardSink(response);
  }
}
