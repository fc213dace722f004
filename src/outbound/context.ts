import type { H2ServerOptions } from "../http/h2-options.ts";
import type { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import type { Drain } from "../stack/drain.ts";
import { IdleCache, type Handle } from "../stack/idle-cache.ts";
import type { OrigDst } from "../transport/orig-dst/orig-dst.ts";
import type { TransportMetrics } from "../transport/transport-metrics.ts";
import { formatTarget, type Target } from "./target.ts";
import { TargetStack, type TargetContext } from "./target-stack.ts";

/** What the parts of the outbound proxy share. */
export interface OutboundContext extends TargetContext {
  readonly transportMetrics: TransportMetrics;
  readonly origDst: OrigDst;
  readonly drain: Drain;
  readonly targets: TargetCache;
  /** Servers that are dialled ahead of silent clients now: see `DIALS_AHEAD_MAX`. */
  readonly dialsAhead: ConcurrencyLimit;
  readonly options: OutboundOptions;
}

/** What the outbound proxy is told at start. */
export interface OutboundOptions {
  readonly detectTimeoutMs: number;
  readonly http2Server: H2ServerOptions;
  /** Requests tell their targets themselves, and every connection is looked at. */
  readonly ingressMode: boolean;
  /** How long a client is silent before its server is dialled to see whether it speaks first; undefined: never. */
  readonly dialAheadAfterMs: number | undefined;
}

/**
 * Servers dialled ahead at once, in the whole process. Silent clients are few, unless somebody opens connections by the
 * thousand to say nothing: those must not become as many connections of ours.
 */
export const DIALS_AHEAD_MAX = 256;

/** Targets that nobody uses any more are bounded: applications may name any number. */
const IDLE_TARGETS_MAX = 1024;

/** The stacks of targets in use, kept for a while after their last connection. */
export class TargetCache {
  readonly #stacks: IdleCache<string, TargetStack>;
  readonly #context: TargetContext;

  constructor(context: TargetContext, idleTimeoutMs: number) {
    this.#context = context;
    this.#stacks = new IdleCache({
      clock: context.clock,
      idleTimeoutMs,
      maxIdle: IDLE_TARGETS_MAX,
      dispose: (stack) => stack.close(),
    });
  }

  acquire(target: Target): Handle<TargetStack> {
    const key = formatTarget(target);
    return this.#stacks.acquire(key, () => {
      const stack = new TargetStack(target, this.#context);
      // A target that could not be found is asked for again by the next who wants it.
      stack.discovered.catch(() => this.#stacks.drop(key, stack));
      return stack;
    });
  }

  close(): void {
    this.#stacks.clear();
  }
}
