import { formatNameAddr, type NameAddr } from "../addr/name-addr.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";

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
