import type { Handle } from "../stack/idle-cache.ts";
import type { TargetCache } from "./context.ts";
import type { TargetStack } from "./target-stack.ts";
import { formatTarget, type Target } from "./target.ts";

/** Targets that one connection keeps at hand; a client that goes on to more begins anew. */
const TARGETS_PER_CONNECTION_MAX = 64;

/** The targets of a connection whose requests tell their targets themselves. */
export class HeldTargets {
  readonly #cache: TargetCache;
  readonly #held = new Map<string, Handle<TargetStack>>();

  constructor(cache: TargetCache) {
    this.#cache = cache;
  }

  get(target: Target): TargetStack {
    const key = formatTarget(target);
    let held = this.#held.get(key);
    if (held === undefined) {
      if (this.#held.size >= TARGETS_PER_CONNECTION_MAX) this.close();
      held = this.#cache.acquire(target);
      this.#held.set(key, held);
    }
    return held.value;
  }

  /** The next request for that target asks the control plane anew. */
  forget(stack: TargetStack): void {
    const key = formatTarget(stack.target);
    const held = this.#held.get(key);
    if (held?.value !== stack) return;
    this.#held.delete(key);
    held.release();
  }

  close(): void {
    for (const held of this.#held.values()) held.release();
    this.#held.clear();
  }
}
