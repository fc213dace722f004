import { errorFromNode } from "../errors/from-node.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import { DiscardSink, type RequestHead, type ResponseSink, type Sink } from "../http/message.ts";
import { PendingExchange } from "../http/pending-exchange.ts";
import type { Discovered } from "./discover.ts";
import type { HeldTargets } from "./held-targets.ts";
import type { TargetStack } from "./target-stack.ts";
import { formatTarget, type Target } from "./target.ts";

/** What modes differ in whose requests tell their targets themselves. */
export interface DiscoveryRules {
  /** Waits for what discovery says, as long as requests of this mode do. Rejects with a ProxyError. */
  discover(stack: TargetStack): Promise<Discovered>;
  /** What requests get whose target cannot be discovered. */
  undiscovered(error: ProxyError): ProxyError;
  /** What requests get for whose target discovery knows no HTTP. */
  unrouted(target: Target): ProxyError;
  /** The last that is done to a request before it enters the stack of its target. */
  prepare(head: RequestHead, stack: TargetStack): void;
}

/**
 * Sends a request to its target, each in its own version, whatever it travelled in. A target that was never looked up is
 * discovered first, and the request waits; one that could not be is forgotten, so that the next request asks again.
 */
export function sendWhenDiscovered(
  targets: HeldTargets,
  target: Target,
  rules: DiscoveryRules,
  head: RequestHead,
  last: boolean,
  response: ResponseSink,
): Sink {
  const stack = targets.get(target);
  if (stack.known !== undefined) return send(stack, stack.known, rules, head, last, response);
  const pending = new PendingExchange(head, last, response);
  rules.discover(stack).then(
    (discovered) =>
      pending.start({ call: (h, isLast, sink) => send(stack, discovered, rules, h, isLast, sink) }),
    (thrown: unknown) => {
      targets.forget(stack);
      pending.fail(rules.undiscovered(errorFromNode(thrown, formatTarget(target))));
    },
  );
  return pending;
}

function send(
  stack: TargetStack,
  discovered: Discovered,
  rules: DiscoveryRules,
  head: RequestHead,
  last: boolean,
  response: ResponseSink,
): Sink {
  const version = head.version === 20 ? 2 : 1;
  if (!stack.routesHttp(version, discovered)) {
    response.reset(rules.unrouted(stack.target));
    return new DiscardSink(response);
  }
  // Made first: the stack knows what requests without a host are called.
  const service = stack.http(version, discovered);
  rules.prepare(head, stack);
  return service.call(head, last, response);
}
