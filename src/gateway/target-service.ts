import { errorFromNode } from "../errors/from-node.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { PendingExchange } from "../http/pending-exchange.ts";
import type { Discovered } from "../outbound/discover.ts";
import type { HeldTargets } from "../outbound/held-targets.ts";
import type { TargetStack } from "../outbound/target-stack.ts";
import { formatTarget, type Target } from "../outbound/target.ts";
import type { Clock } from "../time/clock.ts";
import { discoveredSoon } from "./discovery.ts";
import { domainInvalid } from "./gateway-target.ts";

/** Sends the requests of one connection to their target, each in its own version, whatever they travelled in. */
export class TargetService implements HttpService {
  readonly #targets: HeldTargets;
  readonly #target: Target;
  readonly #clock: Clock;
  readonly #discoveryTimeoutMs: number;

  constructor(targets: HeldTargets, target: Target, clock: Clock, discoveryTimeoutMs: number) {
    this.#targets = targets;
    this.#target = target;
    this.#clock = clock;
    this.#discoveryTimeoutMs = discoveryTimeoutMs;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const stack = this.#targets.get(this.#target);
    if (stack.known !== undefined) return send(stack, stack.known, head, last, response);
    const pending = new PendingExchange(head, last, response);
    discoveredSoon(stack, this.#clock, this.#discoveryTimeoutMs).then(
      (discovered) => pending.start({ call: (h, isLast, sink) => send(stack, discovered, h, isLast, sink) }),
      (thrown: unknown) => {
        // The next request asks again.
        this.#targets.forget(stack);
        pending.fail(errorFromNode(thrown, formatTarget(this.#target)));
      },
    );
    return pending;
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

function send(
  stack: TargetStack,
  discovered: Discovered,
  head: RequestHead,
  last: boolean,
  response: ResponseSink,
): Sink {
  const version = head.version === 20 ? 2 : 1;
  if (stack.routesHttp(version, discovered))
    return stack.http(version, discovered).call(head, last, response);
  response.reset(domainInvalid(`${formatTarget(stack.target)}: the service has no such port`));
  return new DiscardSink(response);
}
