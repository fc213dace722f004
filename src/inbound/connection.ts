import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import type { InboundDecision } from "../metrics/labels.ts";
import type { ClientView } from "../policy/authorize.ts";
import type { ServerTls } from "../tls/status.ts";
import type { Watch } from "../watch/watch.ts";
import type { PortPolicy } from "./port-policy.ts";

/** What is known of an accepted connection once its TLS is decided: the target that inbound stacks are built for. */
export interface InboundConnection {
  readonly client: SocketAddr;
  readonly tls: ServerTls;
  /** Where the application listens. */
  readonly target: SocketAddr;
  readonly policy: Watch<PortPolicy>;
}

/** The client as authorization sees it. */
export function clientOf({ client, tls }: InboundConnection): ClientView {
  return { ip: client.ip, tls };
}

/** The client's verified identity, or undefined. */
export function clientIdOf({ tls }: InboundConnection): string | undefined {
  return tls.kind === "established" ? tls.clientId?.text : undefined;
}

/** A meshed client proved who it is; only such clients are told why something failed. */
export function isMeshed(connection: InboundConnection): boolean {
  return clientIdOf(connection) !== undefined;
}

/** Labels of decisions about this connection under the policy in force. */
export function decisionOf({ target, tls }: InboundConnection, { policy }: PortPolicy): InboundDecision {
  return { target, tls, server: { meta: policy.meta, port: target.port } };
}

/** `client 192.0.2.1:4711: server 10.0.0.1:80`: what error messages begin with. */
export function describeConnection({ client, target }: InboundConnection): string {
  return `client ${formatSocketAddr(client)}: server: ${formatSocketAddr(target)}`;
}
