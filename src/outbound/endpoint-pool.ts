import { EndpointSet, type Located } from "../balance/endpoint-set.ts";
import { ReadySet } from "../balance/ready-set.ts";
import type { EndpointMetadata, EndpointUpdate } from "../policy/endpoint.ts";
import { sameMetadata } from "../policy/same-metadata.ts";

/** An endpoint as a balancer holds it: something that can be chosen, and closed. */
export interface PooledEndpoint {
  /** Whether a request sent to it now would go out at once. */
  readonly ready: boolean;
  /** The cost of one more request: lower is better. */
  load(nowMs: number): number;
  /** Ends new use; what is under way finishes. */
  close(): void;
}

interface Slot<E> {
  active: E;
  /** Made for changed metadata; takes over once it is ready, so that an update never interrupts service. */
  successor: E | undefined;
}

/**
 * The endpoints of one balancer, and the choice among those that are ready.
 *
 * @typeParam E what stands for an endpoint. `make` is given a function that the endpoint calls whenever its readiness
 * changed; it may do so before `make` returns.
 *
 * Source: linkerd2-proxy, linkerd/pool/p2c/src/lib.rs.
 */
export class EndpointPool<E extends PooledEndpoint> {
  readonly #known = new EndpointSet<EndpointMetadata>(sameMetadata);
  readonly #slots = new Map<string, Slot<E>>();
  readonly #ready = new ReadySet<E>();
  readonly #make: (endpoint: Located<EndpointMetadata>, readinessChanged: () => void) => E;
  readonly #random: () => number;
  readonly #onReady: () => void;

  /** @param onReady called when an endpoint became ready: somebody may be waiting for one. */
  constructor(
    make: (endpoint: Located<EndpointMetadata>, readinessChanged: () => void) => E,
    random: () => number,
    onReady: () => void,
  ) {
    this.#make = make;
    this.#random = random;
    this.#onReady = onReady;
  }

  /** Endpoints known, ready or not. */
  get size(): number {
    return this.#slots.size;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  apply(update: EndpointUpdate): void {
    const { added, changed, removed } = this.#known.apply(update);
    for (const key of removed) this.#drop(key);
    for (const [key, endpoint] of added) {
      this.#slots.set(key, { active: this.#makeFor(key, endpoint), successor: undefined });
      this.#refresh(key);
    }
    for (const [key, endpoint] of changed) {
      const slot = this.#slots.get(key);
      if (slot === undefined) continue;
      const { successor } = slot;
      slot.successor = undefined;
      successor?.close();
      slot.successor = this.#makeFor(key, endpoint);
      this.#refresh(key);
    }
  }

  /** The endpoint to use now, or undefined if none is ready. */
  pick(nowMs: number): E | undefined {
    return this.#ready.pick(nowMs, this.#random);
  }

  close(): void {
    for (const key of this.#slots.keys()) this.#drop(key);
  }

  #makeFor(key: string, endpoint: Located<EndpointMetadata>): E {
    return this.#make(endpoint, () => this.#refresh(key));
  }

  #refresh(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    if (slot.successor?.ready === true) {
      this.#ready.delete(slot.active);
      slot.active.close();
      slot.active = slot.successor;
      slot.successor = undefined;
    }
    if (!slot.active.ready) {
      this.#ready.delete(slot.active);
      return;
    }
    if (this.#ready.has(slot.active)) return;
    this.#ready.add(slot.active);
    this.#onReady();
  }

  #drop(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    this.#ready.delete(slot.active);
    slot.successor?.close();
    slot.active.close();
  }
}
