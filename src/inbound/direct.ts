import type { SocketAddr } from "../addr/socket-addr.ts";
import { detectTransportHeader } from "../detect/detect-transport-header.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import { transportHeaderLabels } from "../metrics/labels.ts";
import { TRANSPORT_HEADER_ALPN } from "../wire/transport-header.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import { whenClosed } from "../transport/when-closed.ts";
import type { TransportHeader } from "../wire/transport-header.ts";
import type { InboundConnection } from "./connection.ts";
import type { InboundContext } from "./context.ts";
import { serveHttp } from "./http-server.ts";
import { serveTcp } from "./tcp.ts";
import { unwrapTls } from "./unwrap-tls.ts";

/**
 * Serves a connection that a peer proxy made to our own inbound port. It must be mutually authenticated, and its
 * transport header says which port of this workload it is for; the policy of that port then holds. A header that names
 * another target is for the gateway, if this proxy is one.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/direct.rs.
 */
export async function serveDirect(
  context: InboundContext,
  accepted: AcceptedSocket,
  origDst: SocketAddr,
): Promise<void> {
  const { transport, tls } = await unwrapTls(context, accepted, "direct");
  if (tls.kind !== "established" || tls.clientId === undefined) {
    throw new ProxyError("unexpected", "direct connections must be mutually authenticated");
  }
  if (tls.alpn !== TRANSPORT_HEADER_ALPN) {
    throw new ProxyError("unexpected", "direct connections require transport header negotiation");
  }
  const read = await detectTransportHeader(transport, context.clock, context.options.detectTimeoutMs);
  if (read.kind === "failed") throw read.error;
  const { header, prefix } = read;
  const { name, sessionProtocol } = header;
  const session = sessionProtocol === undefined ? undefined : sessionProtocol === "http1" ? 1 : 2;
  countHeader(context, header, tls.clientId.text);
  const { gateway } = context;
  if (name !== undefined && gateway === undefined) {
    // Only a multicluster gateway takes names; a workload's own ports have none.
    transport.destroy();
    throw new ProxyError("gateway_domain_invalid", `this proxy is no gateway to ${name}`);
  }
  // What is for somebody else is let in as far as the policy of our own port lets it.
  const target: SocketAddr = name === undefined ? { ip: origDst.ip, port: header.port } : origDst;
  const held = context.policies.acquire(target.port);
  whenClosed(transport.socket, () => held.release());
  const connection: InboundConnection = { client: accepted.peerAddr, tls, target, policy: held.value.policy };
  if (name !== undefined && gateway !== undefined) {
    const named = { name: { name, port: header.port }, session } as const;
    return gateway.serve(context, connection, named, transport, prefix);
  }
  // The peer said what it sends: nothing is detected, and nothing stands in for a missing authority.
  if (session === undefined) return serveTcp(context, connection, transport, prefix);
  return serveHttp(context, connection, transport, prefix, session, undefined);
}

function countHeader({ families }: InboundContext, header: TransportHeader, clientId: string): void {
  const session =
    header.sessionProtocol === undefined ? "" : header.sessionProtocol === "http1" ? "http/1" : "http/2";
  const labels = transportHeaderLabels(session, header.port, header.name ?? "", clientId);
  countEvent(families.inboundTcpTransportHeaderConnectionsTotal, labels);
}
