import type { PortRanges } from "../addr/port-ranges.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import type { ServerPolicy } from "../policy/server-policy.ts";
import { IdleCache, type Handle } from "../stack/idle-cache.ts";
import type { Clock } from "../time/clock.ts";
import { mapWatch } from "../watch/map-watch.ts";
import type { Watch } from "../watch/watch.ts";
import { portPolicy, type PortPolicy } from "./port-policy.ts";

export interface PolicyStoreOptions {
  readonly clock: Clock;
  readonly control: ControlPlane;
  /** What holds for a port until the control plane has spoken about it. */
  readonly defaultPolicy: (port: number) => ServerPolicy;
  /** Ports whose policies are watched from the start and for ever. */
  readonly permanentPorts: PortRanges;
  readonly idleTimeoutMs: number;
}

/** Watches of ports that strangers happened to name; the least recently used go first. */
const IDLE_PORTS_MAX = 1024;

/**
 * The inbound policies in force, by port.
 *
 * The first connection to a port that is not watched yet is governed by the default policy until the control plane has
 * spoken; nobody waits.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/policy/store.rs.
 */
export class PolicyStore {
  readonly #options: PolicyStoreOptions;
  readonly #ports: IdleCache<number, Entry>;

  constructor(options: PolicyStoreOptions) {
    this.#options = options;
    this.#ports = new IdleCache({
      clock: options.clock,
      idleTimeoutMs: options.idleTimeoutMs,
      maxIdle: IDLE_PORTS_MAX,
      dispose: (entry) => entry.stop.abort(),
    });
    for (const { low, high } of options.permanentPorts) {
      // Held and never let go.
      for (let port = Math.max(1, low); port <= high; port++) this.acquire(port);
    }
  }

  /** The policy of a port, kept up to date while it is held. */
  acquire(port: number): Handle<{ readonly policy: Watch<PortPolicy> }> {
    return this.#ports.acquire(port, () => this.#watch(port));
  }

  close(): void {
    this.#ports.clear();
  }

  #watch(port: number): Entry {
    const stop = new AbortController();
    const source = this.#options.control.watchServerPolicy(
      port,
      this.#options.defaultPolicy(port),
      stop.signal,
    );
    let previous: PortPolicy | undefined;
    const policy = mapWatch(source, stop.signal, (value) => (previous = portPolicy(value, previous)));
    return { policy, stop };
  }
}

interface Entry {
  readonly policy: Watch<PortPolicy>;
  readonly stop: AbortController;
}
