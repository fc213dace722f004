import type { AccrualRule, Outcome } from "../../failure-accrual/accrual-rule.ts";
import { Breaker, type BreakerChange, type Permit } from "../../failure-accrual/breaker.ts";
import { ConsecutiveFailures } from "../../failure-accrual/consecutive.ts";
import { UnifiedAccrual } from "../../failure-accrual/unified.ts";
import type { Log } from "../../log/log.ts";
import type { FailureAccrual } from "../../policy/client-policy.ts";
import { Backoff } from "../../time/backoff.ts";
import type { Clock, Timer } from "../../time/clock.ts";

/** How a policy wants the endpoints of its balancers judged. */
export interface BreakerPolicy {
  readonly accrual: FailureAccrual;
  /** Every answer is judged as gRPC, whatever its content type says. */
  readonly isGrpc: boolean;
}

/** What a policy says of breakers, undefined where it wants none. */
export function breakerPolicy(policy: {
  readonly failureAccrual: FailureAccrual | undefined;
  readonly isGrpc: boolean;
}): BreakerPolicy | undefined {
  const { failureAccrual: accrual, isGrpc } = policy;
  return accrual === undefined ? undefined : { accrual, isGrpc };
}

export interface EndpointBreakerParams {
  readonly accrual: FailureAccrual;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** The endpoint's address, for the log. */
  readonly name: string;
  /** Called after `admits` may have changed. */
  readonly onReadiness: () => void;
}

/**
 * The breaker of one endpoint in one balancer, with the timer that ends its pauses. It lives as long as the endpoint's
 * stack: an endpoint whose metadata changed starts with a clean record.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/breaker.rs; outbound 7.1.
 */
export class EndpointBreaker {
  readonly #params: EndpointBreakerParams;
  readonly #breaker: Breaker;
  #timer: Timer | undefined = undefined;
  #closed = false;

  constructor(params: EndpointBreakerParams) {
    const { accrual, clock, random } = params;
    this.#params = params;
    this.#breaker = new Breaker(ruleOf(accrual, clock.nowMs()), new Backoff(accrual.backoff, random));
  }

  /** Whether a request may be sent now. */
  get admits(): boolean {
    return this.#breaker.admits;
  }

  /** A request is sent. Its end is told by one of `record` and `abandon`. */
  begin(): Permit {
    const permit = this.#breaker.begin();
    // The trial request leaves no room for a second one.
    if (permit !== 0) this.#params.onReadiness();
    return permit;
  }

  record(outcome: Outcome): void {
    const change = this.#breaker.record(outcome, this.#params.clock.nowMs());
    if (change !== undefined && !this.#closed) this.#follow(change);
  }

  /** The client gave up before an answer, which is nobody's failure. */
  abandon(permit: Permit): void {
    if (permit !== 0 && this.#breaker.abandon(permit) && !this.#closed) this.#params.onReadiness();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #follow(change: BreakerChange): void {
    const { clock, log, name, onReadiness } = this.#params;
    const at = { "endpoint.addr": name };
    switch (change.kind) {
      case "tripped":
        log.warn("Circuit breaker shut", {
          ...at,
          reason: change.reason,
          pause_ms: Math.round(change.pauseMs),
        });
        break;
      case "shut_again":
        log.debug("Circuit breaker stays shut", { ...at, pause_ms: Math.round(change.pauseMs) });
        break;
      case "reopened":
        log.info("Circuit breaker reopened", at);
        return onReadiness();
      default:
        return change satisfies never;
    }
    this.#timer = clock.after(change.pauseMs, () => {
      this.#timer = undefined;
      this.#breaker.probe();
      onReadiness();
    });
    onReadiness();
  }
}

function ruleOf(accrual: FailureAccrual, nowMs: number): AccrualRule {
  return accrual.kind === "consecutive"
    ? new ConsecutiveFailures(accrual.maxFailures)
    : new UnifiedAccrual(accrual, nowMs);
}
