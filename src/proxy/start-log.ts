import { formatAddr } from "../addr/name-addr.ts";
import { formatSocketAddr } from "../addr/socket-addr.ts";
import type { Config, ControlAddr } from "../config/config.ts";
import type { Logging } from "../log/create-log.ts";
import type { Listener } from "../transport/listen.ts";

/** The lines by which operators see who this proxy is and where it listens; tools read them too. */
export function logStart(
  config: Config,
  listeners: { inbound: Listener; outbound: Listener; admin: Listener; tap: Listener | undefined },
  { log }: Logging,
): void {
  const target = log.target("linkerd2_proxy");
  for (const addr of listeners.admin.addrs) target.info(`Admin interface on ${formatSocketAddr(addr)}`);
  for (const addr of listeners.inbound.addrs) target.info(`Inbound interface on ${formatSocketAddr(addr)}`);
  for (const addr of listeners.outbound.addrs) target.info(`Outbound interface on ${formatSocketAddr(addr)}`);
  const tap = listeners.tap?.addrs ?? [];
  for (const addr of tap) target.info(`Tap interface on ${formatSocketAddr(addr)}`);
  if (tap.length === 0) target.info("Tap DISABLED");
  target.info(`SNI is ${config.identity.serverName}`);
  target.info(`Local identity is ${config.identity.id.text}`);
  target.info(`Destinations resolved via ${formatController(config.control.destination)}`);
  if (config.trace !== undefined) {
    target.info(`Tracing collector at ${formatController(config.trace.collector)}`);
  }
}

function formatController({ addr, name }: ControlAddr): string {
  return `${formatAddr(addr)}${name === undefined ? "" : ` (${name})`}`;
}
