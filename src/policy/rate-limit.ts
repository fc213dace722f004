import { admit, rateOf, type Rate } from "./gcra.ts";
import type { LocalRateLimit } from "./server-policy.ts";

/** Why a request is refused. `scope` is the label of the metric; an override counts as a limit of an identity. */
export interface RateLimited {
  readonly scope: "total" | "identity";
  readonly message: string;
}

/**
 * Identities whose state is remembered at a time. Beyond it the least recently seen is forgotten, which is the one that
 * has had the most time to become idle.
 */
export const RATE_LIMIT_IDENTITIES_MAX = 10_000;

const NS_PER_MS = 1e6;

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
    this.#limits = {
      total: kept(before?.total, params.totalRps) ?? cell("total", "total", params.totalRps),
      identity: kept(before?.identity, params.identityRps) ?? identityCells(params.identityRps),
      overrides: params.overrides.flatMap(({ rps, identities }) => {
        const same = before?.overrides.find((o) => o.cell.rps === rps && sameSet(o.identities, identities));
        const own = same?.cell ?? cell("override", "identity", rps);
        return own === undefined ? [] : [{ identities, cell: own }];
      }),
    };
  }

  /**
   * Counts one request of a client, `identity` being the text of its verified identity.
   *
   * @returns why it is refused, undefined if it may pass.
   */
  check(identity: string | undefined, nowMs: number): RateLimited | undefined {
    const nowNs = Math.round(nowMs * NS_PER_MS);
    const { total, identity: each, overrides } = this.#limits;
    const refused = total?.check(nowNs);
    if (refused !== undefined) return refused;
    if (identity !== undefined) {
      for (const override of overrides) {
        if (override.identities.has(identity)) return override.cell.check(nowNs);
      }
    }
    return each?.check(identity, nowNs);
  }
}

interface Limits {
  readonly total: Cell | undefined;
  readonly identity: IdentityCells | undefined;
  readonly overrides: readonly OverrideCell[];
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
    if (this.#states.size > RATE_LIMIT_IDENTITIES_MAX) this.#forgetOldest();
    return undefined;
  }

  #forgetOldest(): void {
    for (const oldest of this.#states.keys()) {
      this.#states.delete(oldest);
      return;
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
