import type { NameAddr } from "../addr/name-addr.ts";
import { formatNameAddr } from "../addr/name-addr.ts";
import { hasDnsSuffix } from "../addr/dns-name.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import type { Families } from "../metrics/families.ts";
import { IdleCache, type Handle } from "../stack/idle-cache.ts";
import type { Clock } from "../time/clock.ts";
import { ProfileRoutes } from "./profile-routes.ts";

export interface InboundProfileOptions {
  /** Names whose profiles are asked for. */
  readonly suffixes: readonly string[];
  /** How long requests wait for a profile that is being asked for. */
  readonly initialTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Requests that may wait for one profile. */
  readonly capacity: number;
}

/** Profiles followed at once: clients choose names. Requests to further names are counted without. */
const PROFILES_MAX = 1024;

/**
 * The ServiceProfiles of the names under which clients know this workload. On this side they decide nothing: requests are
 * counted by their routes.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/http/router.rs.
 */
export class InboundProfiles {
  readonly #control: ControlPlane;
  readonly #clock: Clock;
  readonly #families: Families;
  readonly #options: InboundProfileOptions;
  readonly #profiles: IdleCache<string, ProfileRoutes>;

  constructor(
    base: { readonly control: ControlPlane; readonly clock: Clock; readonly families: Families },
    options: InboundProfileOptions,
  ) {
    this.#control = base.control;
    this.#clock = base.clock;
    this.#families = base.families;
    this.#options = options;
    this.#profiles = new IdleCache({
      clock: base.clock,
      idleTimeoutMs: options.idleTimeoutMs,
      maxIdle: PROFILES_MAX,
      dispose: (profile) => profile.close(),
    });
  }

  /** The routes of a name, followed while they are held; undefined where nobody is to be asked about it. */
  acquire(name: NameAddr): Handle<ProfileRoutes> | undefined {
    if (!this.#options.suffixes.some((suffix) => hasDnsSuffix(name.name, suffix))) return undefined;
    if (this.#profiles.size >= PROFILES_MAX) return undefined;
    return this.#profiles.acquire(formatNameAddr(name), () => this.#follow(name));
  }

  close(): void {
    this.#profiles.clear();
  }

  #follow(name: NameAddr): ProfileRoutes {
    const { initialTimeoutMs, capacity } = this.#options;
    // Nobody waits for a control plane that is known to be away.
    const waitMs = this.#control.unreachable === undefined ? initialTimeoutMs : 0;
    const routes = new ProfileRoutes({ clock: this.#clock, families: this.#families, waitMs, capacity });
    void this.#control
      .watchProfile({ kind: "name", name }, routes.signal)
      .then((profile) => routes.follow(profile));
    return routes;
  }
}
