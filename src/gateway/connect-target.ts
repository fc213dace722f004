import { errorFromNode } from "../errors/from-node.ts";
import type { ApplicationConnection } from "../inbound/context.ts";
import type { OutboundContext, TargetCache } from "../outbound/context.ts";
import type { Target } from "../outbound/target.ts";
import { whenClosed } from "../transport/when-closed.ts";
import { discoveredSoon } from "./discovery.ts";

/**
 * Connects to a server of the target, for bytes that nobody interprets. The target is held for as long as the connection
 * lives, and its route counts it.
 *
 * @param signal aborted when the client is gone.
 * @throws ProxyError why there is no server for them.
 *
 * Source: linkerd2-proxy, linkerd/app/gateway/src/opaq.rs.
 */
export async function connectTarget(
  { clock, tcpFailfastTimeoutMs }: OutboundContext,
  targets: TargetCache,
  target: Target,
  signal: AbortSignal,
): Promise<ApplicationConnection> {
  const held = targets.acquire(target);
  try {
    const discovered = await discoveredSoon(held.value, clock, tcpFailfastTimeoutMs);
    const { route, metrics } = held.value.opaque(discovered).route();
    metrics.opened();
    try {
      const server = await route.connect(signal);
      whenClosed(server.socket, () => held.release());
      return { server, ended: (end) => metrics.ended(end) };
    } catch (thrown) {
      const error = errorFromNode(thrown, "connect");
      metrics.closed(error);
      throw error;
    }
  } catch (thrown) {
    held.release();
    throw thrown;
  }
}
