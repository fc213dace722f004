import { formatSocketAddr } from "../../addr/socket-addr.ts";
import { formatNameAddr } from "../../addr/name-addr.ts";
import type { HttpService } from "../../http/message.ts";
import type { Backend } from "../../policy/client-policy.ts";
import { formatMeta } from "../../policy/meta.ts";

/** Where a route sends requests: a balancer, a single endpoint, or a refusal. */
export interface HttpBackend extends HttpService {
  /** Whether a request would be taken: the queue has room and is not in failfast. */
  readonly available: boolean;
  close(): void;
}

/**
 * The backends of one target and HTTP version. A backend outlives the policy that named it first as long as later ones
 * name it unchanged: with it live its connections, its load and its queue.
 */
export class BackendCache {
  readonly #make: (backend: Backend) => HttpBackend;
  readonly #backends = new Map<string, HttpBackend>();

  constructor(make: (backend: Backend) => HttpBackend) {
    this.#make = make;
  }

  get(backend: Backend): HttpBackend {
    const key = keyOf(backend);
    let found = this.#backends.get(key);
    if (found === undefined) {
      found = this.#make(backend);
      this.#backends.set(key, found);
    }
    return found;
  }

  /** Closes all others. Requests that are under way on them finish. */
  retain(backends: readonly Backend[]): void {
    const named = new Set(backends.map(keyOf));
    for (const [key, backend] of this.#backends) {
      if (named.has(key)) continue;
      this.#backends.delete(key);
      backend.close();
    }
  }
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
