import { ProxyError } from "../errors/proxy-error.ts";
import type { Discovered } from "../outbound/discover.ts";
import type { TargetStack } from "../outbound/target-stack.ts";
import { formatTarget } from "../outbound/target.ts";
import type { Clock } from "../time/clock.ts";

/**
 * What discovery says of a target, waited for within bounds: a peer of another cluster is told that this one cannot answer
 * now, instead of being kept here for as long as its control plane is away.
 *
 * @throws ProxyError `failfast`, or why the target cannot be discovered.
 */
export function discoveredSoon(stack: TargetStack, clock: Clock, timeoutMs: number): Promise<Discovered> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => {
      const problem = `${formatTarget(stack.target)}: the control plane did not answer in ${timeoutMs}ms`;
      reject(new ProxyError("failfast", problem, { side: "proxy" }));
    });
    stack.discovered.finally(() => timer.cancel()).then(resolve, reject);
  });
}
