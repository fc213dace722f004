import { admit, rateOf, type Rate } from "./gcra.ts";
import type { LocalRateLimit } from "./server-policy.ts";

/** Why a request is refused. `scope` is the label of the metric; an override counts as a limit of an identity. */
export interface RateLimited {
  readonly scope: "total" | "identity";
  readonly message: string;
}

/**
 * Identities whose state is remembered at a time. States that tell nothing any more are dropped before; beyond the bound the
 * least recently seen is forgotten, which is the one that has had the most time to become idle.
 */
export const RATE_LIMIT_IDENTITIES_MAX = 10_000;

const NS_PER_MS = 1e6;

/** More than come at a time, so that the rest of a crowd goes too. */
const FORGOTTEN_AT_ONCE = 2;

/**
 * The rate limits of one port in this process: total, then an override or the limit of each identity.
 *
 * A request refused by the second has used up a cell of the first. Clients without identity share one state.
 *
 * Source: linkerd2-proxy, linkerd/proxy/server-policy/src/local_rate_limit.rs; keeping state over policy updates and
 * bounding the identities are ours.
 */
export class RateLimiter {
  readonly #limits: Limits;

  /** @param previous the limiter of the policy before this one: limits with the same parameters keep their state. */
  constructor(params: LocalRateLimit, previous?: RateLimiter) {
    const before = previous === undefined ? undefined : previous.#limits;
    const overrides = params.overrides.flatMap(({ rps, identities }): OverrideCell[] => {
      const same = before?.overrides.find((o) => o.cell.rps === rps && sameSet(o.identities, identities));
      const own = same?.cell ?? cell("override", "identity", rps);
      return own === undefined ? [] : [{ identities, cell: own }];
    });
    this.#limits = {
      total: kept(before?.total, params.totalRps) ?? cell("total", "total", params.totalRps),
      identity: kept(before?.identity, params.identityRps) ?? identityCells(params.identityRps),
      overrides,
      // Of two overrides that name an identity the last one counts.
      overrideOf: new Map(overrides.flatMap((o) => [...o.identities].map((id) => [id, o.cell] as const))),
    };
  }

  /** Identities whose state is remembered. */
  get identities(): number {
    return this.#limits.identity?.size ?? 0;
  }

  /**
   * Counts one request of a client, `identity` being the text of its verified identity.
   *
   * @returns why it is refused, undefined if it may pass.
   */
  check(identity: string | undefined, nowMs: number): RateLimited | undefined {
    const nowNs = Math.round(nowMs * NS_PER_MS);
    const { total, identity: each, overrideOf } = this.#limits;
    const refused = total?.check(nowNs);
    if (refused !== undefined) return refused;
    const override = identity === undefined ? undefined : overrideOf.get(identity);
    if (override !== undefined) return override.check(nowNs);
    return each?.check(identity, nowNs);
  }
}

interface Limits {
  readonly total: Cell | undefined;
  readonly identity: IdentityCells | undefined;
  readonly overrides: readonly OverrideCell[];
  readonly overrideOf: ReadonlyMap<string, Cell>;
}

interface OverrideCell {
  readonly identities: ReadonlySet<string>;
  readonly cell: Cell;
}

/** One limit with one state. */
class Cell {
  readonly rps: number;
  readonly #rate: Rate;
  readonly #refusal: RateLimited;
  #state: number | undefined;

  constructor(rps: number, refusal: RateLimited) {
    this.rps = rps;
    this.#rate = rateOf(rps);
    this.#refusal = refusal;
  }

  check(nowNs: number): RateLimited | undefined {
    const state = admit(this.#rate, this.#state, nowNs);
    if (state === undefined) return this.#refusal;
    this.#state = state;
    return undefined;
  }
}

/** One limit with a state for each identity. */
class IdentityCells {
  readonly rps: number;
  readonly #rate: Rate;
  readonly #refusal: RateLimited;
  /** In order of last use. */
  readonly #states = new Map<string | undefined, number>();

  /** Identities that are remembered now. */
  get size(): number {
    return this.#states.size;
  }

  constructor(rps: number, refusal: RateLimited) {
    this.rps = rps;
    this.#rate = rateOf(rps);
    this.#refusal = refusal;
  }

  check(identity: string | undefined, nowNs: number): RateLimited | undefined {
    const before = this.#states.get(identity);
    const state = admit(this.#rate, before, nowNs);
    if (state === undefined) return this.#refusal;
    if (before !== undefined) this.#states.delete(identity);
    this.#states.set(identity, state);
    if (before === undefined) this.#forget(nowNs);
    return undefined;
  }

  /** For each state that came, up to two go that are full again: as many are left as identities are active. */
  #forget(nowNs: number): void {
    let looked = 0;
    for (const [oldest, emptyAtNs] of this.#states) {
      const isOver = this.#states.size > RATE_LIMIT_IDENTITIES_MAX;
      if (!isOver && (emptyAtNs > nowNs || looked === FORGOTTEN_AT_ONCE)) return;
      this.#states.delete(oldest);
      looked++;
    }
  }
}

function kept<T extends { readonly rps: number }>(
  before: T | undefined,
  rps: number | undefined,
): T | undefined {
  return before?.rps === rps ? before : undefined;
}

function cell(name: string, scope: RateLimited["scope"], rps: number | undefined): Cell | undefined {
  return isLimit(rps) ? new Cell(rps, refusal(name, scope, rps)) : undefined;
}

function identityCells(rps: number | undefined): IdentityCells | undefined {
  return isLimit(rps) ? new IdentityCells(rps, refusal("per-identity", "identity", rps)) : undefined;
}

/** Zero requests per second means "no limit", as on the wire. */
function isLimit(rps: number | undefined): rps is number {
  return rps !== undefined && rps >= 1;
}

function refusal(name: string, scope: RateLimited["scope"], rps: number): RateLimited {
  return Object.freeze({ scope, message: `${name} rate limit exceeded: ${rps}rps` });
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const item of a) if (!b.has(item)) return false;
  return true;
}
