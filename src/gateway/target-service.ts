import type { ProxyError } from "../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import type { HeldTargets } from "../outbound/held-targets.ts";
import { sendWhenDiscovered, type DiscoveryRules } from "../outbound/send-when-discovered.ts";
import { formatTarget, type Target } from "../outbound/target.ts";
import type { Clock } from "../time/clock.ts";
import { discoveredSoon } from "./discovery.ts";
import { domainInvalid } from "./gateway-target.ts";

/** Sends the requests of one connection to their target. */
export class TargetService implements HttpService {
  readonly #targets: HeldTargets;
  readonly #target: Target;
  readonly #rules: DiscoveryRules;

  constructor(targets: HeldTargets, target: Target, clock: Clock, discoveryTimeoutMs: number) {
    this.#targets = targets;
    this.#target = target;
    this.#rules = {
      discover: (stack) => discoveredSoon(stack, clock, discoveryTimeoutMs),
      undiscovered: (error) => error,
      unrouted: (of) => domainInvalid(`${formatTarget(of)}: the service has no such port`),
      // The client's proxy and `HttpGateway` have named the authority.
      prepare: () => {},
    };
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    return sendWhenDiscovered(this.#targets, this.#target, this.#rules, head, last, response);
  }
}

/** Answers requests for a name that is not to be reached. */
export class RefusingService implements HttpService {
  readonly #error: ProxyError;

  constructor(error: ProxyError) {
    this.#error = error;
  }

  call(_head: RequestHead, _last: boolean, response: ResponseSink): Sink {
    response.reset(this.#error);
    return new DiscardSink(response);
  }
}
