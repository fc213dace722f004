import { LRUCache } from "lru-cache";
import type { Clock, Timer } from "../time/clock.ts";

export interface IdleCacheParams<K, V> {
  readonly clock: Clock;
  /** How long a value stays after its last holder has gone. */
  readonly idleTimeoutMs: number;
  /** Idle values beyond this many are dropped early, the longest idle first. At least 1. */
  readonly maxIdle: number;
  /** Called once for each value that is dropped. */
  readonly dispose: (value: V, key: K) => void;
}

/** A hold on a cached value: while there is one, the value stays. */
export interface Handle<V> {
  readonly value: V;
  /** Lets go. A second call does nothing. */
  release(): void;
}

/**
 * Values shared by whoever needs them now (a discovery, a stack), kept for a while after the last one has gone.
 *
 * What is held is bounded by its holders, what is idle by `maxIdle` and the timeout.
 *
 * Source: linkerd2-proxy, linkerd/idle-cache/src/lib.rs.
 */
export class IdleCache<K extends {}, V> {
  readonly #params: IdleCacheParams<K, V>;
  readonly #entries = new Map<K, Entry<V>>();
  readonly #idle: LRUCache<K, Entry<V>>;

  constructor(params: IdleCacheParams<K, V>) {
    this.#params = params;
    this.#idle = new LRUCache<K, Entry<V>>({
      max: params.maxIdle,
      dispose: (entry, key, reason) => {
        if (reason === "evict") this.#drop(key, entry);
      },
    });
  }

  /** Values kept, held or idle. */
  get size(): number {
    return this.#entries.size;
  }

  /** The value of a key, made if there is none. Keys compare as in a `Map`. */
  acquire(key: K, make: () => V): Handle<V> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = new Entry(make());
      this.#entries.set(key, entry);
    } else if (entry.holders === 0) {
      entry.timer?.cancel();
      entry.timer = undefined;
      this.#idle.delete(key);
    }
    entry.holders++;
    return new HeldEntry(entry.value, this.#releaser(key, entry));
  }

  /** The value of a key without holding it, for reading: it may be dropped at any time. */
  peek(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Drops a value although it may be held, so that the next asker gets a new one. Does nothing if another is there. */
  drop(key: K, value: V): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.value !== value) return;
    this.#idle.delete(key);
    this.#drop(key, entry);
  }

  /** Drops every value, held or not; holders keep what they have. */
  clear(): void {
    for (const [key, entry] of this.#entries) this.#drop(key, entry);
    this.#idle.clear();
  }

  #releaser(key: K, entry: Entry<V>): () => void {
    return () => {
      entry.holders--;
      if (entry.holders > 0 || this.#entries.get(key) !== entry) return;
      entry.timer = this.#params.clock.after(this.#params.idleTimeoutMs, () => {
        this.#idle.delete(key);
        this.#drop(key, entry);
      });
      this.#idle.set(key, entry);
    };
  }

  #drop(key: K, entry: Entry<V>): void {
    entry.timer?.cancel();
    entry.timer = undefined;
    this.#entries.delete(key);
    this.#params.dispose(entry.value, key);
  }
}

class Entry<V> {
  readonly value: V;
  holders = 0;
  timer: Timer | undefined = undefined;

  constructor(value: V) {
    this.value = value;
  }
}

class HeldEntry<V> implements Handle<V> {
  readonly value: V;
  #release: (() => void) | undefined;

  constructor(value: V, release: () => void) {
    this.value = value;
    this.#release = release;
  }

  release(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }
}
