import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { assertNever } from "../parsed.ts";

/** An address with whatever discovery says about it. */
export interface Located<M> {
  readonly addr: SocketAddr;
  readonly metadata: M;
}

/** A change as discovery tells it; `EndpointUpdate` of the policy is one. */
export type LocatedUpdate<M> =
  | { readonly kind: "reset" | "add"; readonly endpoints: readonly Located<M>[] }
  | { readonly kind: "remove"; readonly addrs: readonly SocketAddr[] };

/** What a change means for those who hold something per endpoint. Keys are `ip:port`. */
export interface EndpointDiff<M> {
  readonly added: readonly (readonly [key: string, endpoint: Located<M>])[];
  /** Same address, other metadata: to be reached in another way, so state is not carried over. */
  readonly changed: readonly (readonly [key: string, endpoint: Located<M>])[];
  readonly removed: readonly string[];
}

/**
 * The endpoints of one target, keyed by address.
 *
 * Source: linkerd2-proxy, linkerd/pool/p2c/src/lib.rs (reset, add, remove).
 */
export class EndpointSet<M> {
  readonly #sameMetadata: (a: M, b: M) => boolean;
  readonly #endpoints = new Map<string, Located<M>>();

  constructor(sameMetadata: (a: M, b: M) => boolean) {
    this.#sameMetadata = sameMetadata;
  }

  get size(): number {
    return this.#endpoints.size;
  }

  get(key: string): Located<M> | undefined {
    return this.#endpoints.get(key);
  }

  /** Takes a change over and tells the difference to before. Of two entries for one address in an update the later counts. */
  apply(update: LocatedUpdate<M>): EndpointDiff<M> {
    switch (update.kind) {
      case "reset":
        return this.#reset(update.endpoints);
      case "add":
        return this.#upsert(keyed(update.endpoints), []);
      case "remove":
        return this.#remove(update.addrs);
      default:
        return assertNever(update);
    }
  }

  #reset(endpoints: readonly Located<M>[]): EndpointDiff<M> {
    const next = keyed(endpoints);
    const removed: string[] = [];
    for (const key of this.#endpoints.keys()) if (!next.has(key)) removed.push(key);
    for (const key of removed) this.#endpoints.delete(key);
    return this.#upsert(next, removed);
  }

  #upsert(next: ReadonlyMap<string, Located<M>>, removed: readonly string[]): EndpointDiff<M> {
    const added: [string, Located<M>][] = [];
    const changed: [string, Located<M>][] = [];
    for (const [key, endpoint] of next) {
      const before = this.#endpoints.get(key);
      if (before === undefined) added.push([key, endpoint]);
      else if (!this.#sameMetadata(before.metadata, endpoint.metadata)) changed.push([key, endpoint]);
      else continue;
      this.#endpoints.set(key, endpoint);
    }
    return { added, changed, removed };
  }

  #remove(addrs: readonly SocketAddr[]): EndpointDiff<M> {
    const removed: string[] = [];
    for (const addr of addrs) {
      const key = formatSocketAddr(addr);
      if (this.#endpoints.delete(key)) removed.push(key);
    }
    return { added: [], changed: [], removed };
  }
}

function keyed<M>(endpoints: readonly Located<M>[]): Map<string, Located<M>> {
  return new Map(endpoints.map((endpoint) => [formatSocketAddr(endpoint.addr), endpoint]));
}
