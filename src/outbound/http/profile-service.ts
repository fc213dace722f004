import { formatNameAddr, type NameAddr } from "../../addr/name-addr.ts";
import { Distributor } from "../../balance/distribution.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../../http/message.ts";
import type { Backend, Distribution, Profile, ProfileRoute } from "../../policy/client-policy.ts";
import { findProfileRoute } from "../../policy/profile-match.ts";
import { profileDistribution } from "../../policy/profile-targets.ts";
import { RetryTokens } from "../../policy/retry-tokens.ts";
import type { Watch } from "../../watch/watch.ts";
import { backendsOf, type BackendCache } from "../backend-cache.ts";
import type { HttpBackend } from "./backend.ts";
import { ProfileRouteStack, type ProfileContext } from "./profile-route.ts";

/** The routes of one value of a profile, with a stack for each that traffic has met so far. */
interface Snapshot {
  /** The default route comes last. */
  readonly routes: readonly ProfileRoute[];
  readonly stacks: (ProfileRouteStack | undefined)[];
  readonly distributor: Distributor<HttpBackend>;
  readonly tokens: RetryTokens | undefined;
  readonly backends: readonly Backend[];
}

/**
 * Routes the requests of one target and HTTP version by its ServiceProfile, which has taken the place of the client
 * policy: see `httpProfileName`.
 *
 * Whoever has begun with the profile stays with it: one that names neither routes nor targets any more sends everything
 * to its own name. Targets that a new value names unchanged keep their connections and load; the retry budget begins anew.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/profile.rs.
 */
export class ProfileService implements HttpService {
  readonly #logical: NameAddr;
  readonly #backends: BackendCache<HttpBackend>;
  readonly #context: ProfileContext;
  readonly #stop = new AbortController();
  #snapshot: Snapshot;

  constructor(
    logical: NameAddr,
    profile: Watch<Profile>,
    backends: BackendCache<HttpBackend>,
    context: ProfileContext,
  ) {
    this.#logical = logical;
    this.#backends = backends;
    this.#context = context;
    this.#snapshot = this.#snapshotOf(profile.value);
    profile.subscribe(this.#stop.signal, (value) => this.#replace(value));
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const snapshot = this.#snapshot;
    const { routes, stacks } = snapshot;
    // The default route takes whatever the others leave, so one is always found.
    const i = routes.length === 1 ? 0 : findProfileRoute(routes, head);
    return (stacks[i] ?? this.#build(snapshot, i)).call(head, last, response);
  }

  close(): void {
    this.#stop.abort();
    closeAll(this.#snapshot);
    this.#backends.retain([]);
  }

  #build({ routes, stacks, distributor, tokens }: Snapshot, i: number): ProfileRouteStack {
    const route = routes[i] ?? DEFAULT_ROUTE;
    const stack = new ProfileRouteStack(
      { logical: this.#logical, route, distributor, tokens },
      this.#context,
    );
    stacks[i] = stack;
    return stack;
  }

  #replace(profile: Profile): void {
    closeAll(this.#snapshot);
    this.#snapshot = this.#snapshotOf(profile);
    this.#backends.retain(this.#snapshot.backends);
  }

  #snapshotOf(profile: Profile): Snapshot {
    const { retryBudget } = profile;
    if (retryBudget === undefined && profile.routes.some((route) => route.isRetryable)) {
      const dst = formatNameAddr(this.#logical);
      this.#context.log.warn("A profile has retryable routes but no retry budget: nothing is retried", {
        dst,
      });
    }
    const distribution = profileDistribution(this.#logical, profile);
    return {
      routes: [...profile.routes, DEFAULT_ROUTE],
      stacks: [],
      distributor: this.#distributor(distribution),
      tokens: retryBudget && new RetryTokens(retryBudget, this.#context.clock.nowMs()),
      backends: backendsOf(distribution),
    };
  }

  #distributor(distribution: Distribution<never>): Distributor<HttpBackend> {
    if (distribution.kind === "random_available") {
      const split = distribution.backends.map(({ backend, weight }) => ({
        item: this.#backends.get(backend),
        weight,
      }));
      return new Distributor("random_available", split);
    }
    const all = backendsOf(distribution).map((backend) => ({ item: this.#backends.get(backend), weight: 1 }));
    return new Distributor("first_available", all);
  }
}

/** Requests that no route of the profile is about. */
const DEFAULT_ROUTE: ProfileRoute = {
  condition: { kind: "all", of: [] },
  labels: [],
  responseClasses: [],
  isRetryable: false,
  timeoutMs: undefined,
};

function closeAll({ stacks }: Snapshot): void {
  for (const stack of stacks) stack?.close();
}
