import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import type { Endpoint, EndpointUpdate } from "../policy/endpoint.ts";
import { sameMetadata } from "../policy/same-metadata.ts";

/** An endpoint as a balancer holds it: something that can be chosen, and closed. */
export interface PooledEndpoint {
  readonly endpoint: Endpoint;
  /** Whether a request sent to it now would go out at once. */
  readonly ready: boolean;
  /** Current load, in the unit of the load estimator: lower is better. */
  loadAt(nowMs: number): number;
  /** Ends new use; what is under way finishes. */
  close(): void;
}

interface Slot<E> {
  active: E;
  /** Made for changed metadata; takes over once it is ready, so that an update never interrupts service. */
  successor: E | undefined;
}

/**
 * The endpoints of one balancer and the choice among them: power of two choices over those that are ready.
 *
 * Source: linkerd2-proxy, linkerd/pool/p2c/src/lib.rs.
 */
export class EndpointPool<E extends PooledEndpoint> {
  readonly #slots = new Map<string, Slot<E>>();
  readonly #make: (endpoint: Endpoint) => E;
  readonly #random: () => number;
  #ready: E[] = [];
  #readyIsStale = false;

  constructor(make: (endpoint: Endpoint) => E, random: () => number) {
    this.#make = make;
    this.#random = random;
  }

  /** Endpoints known, ready or not. */
  get size(): number {
    return this.#slots.size;
  }

  get readyCount(): number {
    return this.#readyEndpoints().length;
  }

  apply(update: EndpointUpdate): void {
    switch (update.kind) {
      case "reset": {
        const kept = new Set(update.endpoints.map((e) => formatSocketAddr(e.addr)));
        for (const key of this.#slots.keys()) if (!kept.has(key)) this.#drop(key);
        update.endpoints.forEach((e) => this.#upsert(e));
        break;
      }
      case "add":
        update.endpoints.forEach((e) => this.#upsert(e));
        break;
      case "remove":
        update.addrs.forEach((addr: SocketAddr) => this.#drop(formatSocketAddr(addr)));
        break;
    }
    this.#readyIsStale = true;
  }

  /** To be called whenever the readiness of one of the endpoints changed. */
  readinessChanged(): void {
    for (const slot of this.#slots.values()) {
      if (slot.successor?.ready === true) {
        slot.active.close();
        slot.active = slot.successor;
        slot.successor = undefined;
      }
    }
    this.#readyIsStale = true;
  }

  /** The endpoint to use now, or undefined if none is ready. */
  pick(nowMs: number): E | undefined {
    const ready = this.#readyEndpoints();
    const count = ready.length;
    if (count <= 1) return ready[0];
    const i = Math.floor(this.#random() * count);
    // The second is drawn from the others, so that the two always differ.
    let j = Math.floor(this.#random() * (count - 1));
    if (j >= i) j++;
    const a = ready[i];
    const b = ready[j];
    if (a === undefined || b === undefined) return a ?? b;
    return a.loadAt(nowMs) <= b.loadAt(nowMs) ? a : b;
  }

  close(): void {
    for (const key of this.#slots.keys()) this.#drop(key);
  }

  #readyEndpoints(): readonly E[] {
    if (this.#readyIsStale) {
      this.#ready.length = 0;
      for (const slot of this.#slots.values()) if (slot.active.ready) this.#ready.push(slot.active);
      this.#readyIsStale = false;
    }
    return this.#ready;
  }

  #upsert(endpoint: Endpoint): void {
    const key = formatSocketAddr(endpoint.addr);
    const slot = this.#slots.get(key);
    if (slot === undefined) {
      this.#slots.set(key, { active: this.#make(endpoint), successor: undefined });
      return;
    }
    const newest = slot.successor ?? slot.active;
    if (sameMetadata(newest.endpoint.metadata, endpoint.metadata)) return;
    slot.successor?.close();
    slot.successor = this.#make(endpoint);
    // It may be ready at once (HTTP/1 and TCP endpoints always are).
    if (slot.successor.ready) this.readinessChanged();
  }

  #drop(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    slot.successor?.close();
    slot.active.close();
    this.#readyIsStale = true;
  }
}
