import { formatSocketAddr } from "../addr/socket-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import { inboundAcceptedLabels, inboundDecisionLabels, tcpAllowLabels } from "../metrics/labels.ts";
import { authorize } from "../policy/authorize.ts";
import { metaName } from "../policy/meta.ts";
import type { Authorization } from "../policy/server-policy.ts";
import { forward } from "../transport/forward.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { clientIdOf, clientOf, decisionOf, type InboundConnection } from "./connection.ts";
import type { InboundContext } from "./context.ts";
import type { PortPolicy } from "./port-policy.ts";

/**
 * Forwards a connection that is not HTTP: authorized once before a byte reaches the application, and again whenever the
 * policy changes. A connection that the new policy would not have let in is cut.
 *
 * @param prefix what was read while the protocol was looked for.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/policy/tcp.rs.
 */
export async function serveTcp(
  context: InboundContext,
  connection: InboundConnection,
  transport: SocketTransport,
  prefix: Buffer,
): Promise<void> {
  const policy = connection.policy.value;
  const authorization = authorizeTcp(policy, connection);
  const decision = decisionOf(connection, policy);
  const fields = { "client.addr": formatSocketAddr(connection.client), "client.id": clientIdOf(connection) };
  if (authorization === undefined) {
    countEvent(context.families.inboundTcpAuthzDenyTotal, inboundDecisionLabels(decision));
    context.log.info("Connection denied", { ...fields, server: metaName(policy.policy.meta) });
    transport.destroy();
    return;
  }
  countEvent(context.families.inboundTcpAuthzAllowTotal, tcpAllowLabels(decision, authorization.meta));
  const labels = inboundAcceptedLabels(connection.target, connection.tls, decision.server);
  context.transportMetrics.track(transport, labels);

  const leave = context.drain.join(() => {});
  let server: SocketTransport;
  try {
    server = await context.applications.connect(connection.target);
  } catch (error) {
    leave();
    transport.destroy();
    throw error;
  }
  const watching = new AbortController();
  const tunnel = forward(transport, server, prefix, () => {
    watching.abort();
    leave();
  });
  const recheck = (next: PortPolicy): void => {
    if (authorizeTcp(next, connection) !== undefined) return;
    const now = inboundDecisionLabels(decisionOf(connection, next));
    countEvent(context.families.inboundTcpAuthzTerminateTotal, now);
    context.log.info("Connection terminated due to policy change", fields);
    tunnel.abort(new ProxyError("unauthorized", "connection is no longer authorized", { side: "proxy" }));
  };
  connection.policy.subscribe(watching.signal, recheck);
  // It may have changed while the application was dialled.
  if (connection.policy.value !== policy) recheck(connection.policy.value);
}

/** Bytes that are not HTTP are refused where the policy says that HTTP is all there is. */
function authorizeTcp({ policy }: PortPolicy, connection: InboundConnection): Authorization | undefined {
  const { kind } = policy.protocol;
  if (kind === "http1" || kind === "http2" || kind === "grpc") return undefined;
  return authorize(policy.authorizations, clientOf(connection));
}
