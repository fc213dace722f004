import { formatSocketAddr } from "../addr/socket-addr.ts";
import { formatNameAddr } from "../addr/name-addr.ts";
import type { Backend, Distribution } from "../policy/client-policy.ts";
import { formatMeta } from "../policy/meta.ts";

/** What a cache of backends needs to know of them. */
export interface CachedBackend {
  /** Ends new use; what is under way finishes. */
  close(): void;
}

/**
 * The backends of one target and protocol. A backend outlives the policy that named it first as long as later ones name
 * it unchanged: with it live its connections, its load and its queue.
 */
export class BackendCache<B extends CachedBackend> {
  readonly #make: (backend: Backend) => B;
  readonly #backends = new Map<string, B>();

  constructor(make: (backend: Backend) => B) {
    this.#make = make;
  }

  get(backend: Backend): B {
    const key = keyOf(backend);
    let found = this.#backends.get(key);
    if (found === undefined) {
      found = this.#make(backend);
      this.#backends.set(key, found);
    }
    return found;
  }

  /** Closes all others. */
  retain(backends: readonly Backend[]): void {
    const named = new Set(backends.map(keyOf));
    for (const [key, backend] of this.#backends) {
      if (named.has(key)) continue;
      this.#backends.delete(key);
      backend.close();
    }
  }
}

/** The backends that a distribution names. */
export function backendsOf(distribution: Distribution): Backend[] {
  return distribution.kind === "empty" ? [] : distribution.backends.map(({ backend }) => backend);
}

function keyOf({ meta, dispatcher }: Backend): string {
  const who = formatMeta(meta);
  switch (dispatcher.kind) {
    case "balance":
      return `balance ${who} ${formatNameAddr(dispatcher.path)} ${JSON.stringify(dispatcher.load)}`;
    case "forward":
      return `forward ${who} ${formatSocketAddr(dispatcher.endpoint.addr)} ${JSON.stringify(dispatcher.endpoint.metadata)}`;
    case "fail":
      return `fail ${who} ${dispatcher.message}`;
    default:
      return dispatcher satisfies never;
  }
}
