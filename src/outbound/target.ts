import { formatNameAddr, type Addr, type NameAddr } from "../addr/name-addr.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { authorityText } from "../metrics/labels.ts";

/**
 * Where an application wants to go: the address it dialled before we took the connection, or a name it told us
 * (explicit proxying and named forwards).
 */
export type Target =
  | { readonly kind: "addr"; readonly addr: SocketAddr }
  | { readonly kind: "name"; readonly name: NameAddr };

/** `10.0.0.1:80` or `web.shop.svc.cluster.local:80`: unique per target, and what messages call it. */
export function formatTarget(target: Target): string {
  return target.kind === "addr" ? formatSocketAddr(target.addr) : formatNameAddr(target.name);
}

/** The target as the control plane is asked for it. */
export function addrOf(target: Target): Addr {
  return target.kind === "addr"
    ? { kind: "socket", socket: target.addr }
    : { kind: "name", name: target.name };
}

const HTTP_PORT = 80;

/** The authority of HTTP/1 requests to the target that name no host: without the port where that is 80. */
export function defaultAuthority(target: Target): string {
  if (target.kind === "name") return authorityText(target.name);
  const text = formatSocketAddr(target.addr);
  return target.addr.port === HTTP_PORT ? text.slice(0, text.lastIndexOf(":")) : text;
}
