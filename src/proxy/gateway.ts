import type { Config } from "../config/config.ts";
import { OutboundGateway } from "../gateway/gateway.ts";
import type { OutboundContext } from "../outbound/context.ts";

/** The gateway, or undefined for a proxy that is none. */
export function gatewayOf(config: Config, outbound: OutboundContext): OutboundGateway | undefined {
  const { gatewaySuffixes: suffixes } = config.inbound;
  if (suffixes.length === 0) return undefined;
  return new OutboundGateway(outbound, {
    suffixes,
    localId: config.identity.id.text,
    idleTimeoutMs: config.outbound.discoveryIdleTimeoutMs,
  });
}
