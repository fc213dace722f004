import { formatSocketAddr } from "../addr/socket-addr.ts";
import { formatNameAddr } from "../addr/name-addr.ts";
import type { Backend, Distribution } from "../policy/client-policy.ts";
import { formatMeta } from "../policy/meta.ts";
import type { BreakerPolicy } from "./http/breaker.ts";

/** What a cache of backends needs to know of them. */
export interface CachedBackend {
  /** Ends new use; what is under way finishes. */
  close(): void;
}

/**
 * The backends of one target and protocol. A backend outlives the policy that named it first as long as later ones name
 * it unchanged: with it live its connections, its load, its breakers and its queue.
 */
export class BackendCache<B extends CachedBackend> {
  readonly #make: (backend: Backend, breaker: BreakerPolicy | undefined) => B;
  readonly #backends = new Map<string, B>();

  constructor(make: (backend: Backend, breaker: BreakerPolicy | undefined) => B) {
    this.#make = make;
  }

  /** @param breaker how the policy wants its endpoints judged; a balancer is made anew when that changes. */
  get(backend: Backend, breaker?: BreakerPolicy): B {
    const key = keyOf(backend, breaker);
    let found = this.#backends.get(key);
    if (found === undefined) {
      found = this.#make(backend, breaker);
      this.#backends.set(key, found);
    }
    return found;
  }

  /** Closes all others. */
  retain(backends: readonly Backend[], breaker?: BreakerPolicy): void {
    const named = new Set(backends.map((backend) => keyOf(backend, breaker)));
    for (const [key, backend] of this.#backends) {
      if (named.has(key)) continue;
      this.#backends.delete(key);
      backend.close();
    }
  }
}

/** The backends that a distribution names. */
export function backendsOf(distribution: Distribution<unknown>): Backend[] {
  return distribution.kind === "empty" ? [] : distribution.backends.map(({ backend }) => backend);
}

function keyOf({ meta, dispatcher }: Backend, breaker: BreakerPolicy | undefined): string {
  const who = formatMeta(meta);
  switch (dispatcher.kind) {
    case "balance":
      return `balance ${who} ${formatNameAddr(dispatcher.path)} ${JSON.stringify([dispatcher.load, breaker])}`;
    case "forward":
      return `forward ${who} ${formatSocketAddr(dispatcher.endpoint.addr)} ${JSON.stringify(dispatcher.endpoint.metadata)}`;
    case "fail":
      return `fail ${who} ${dispatcher.message}`;
    default:
      return dispatcher satisfies never;
  }
}
