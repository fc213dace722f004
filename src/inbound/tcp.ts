import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import { inboundAcceptedLabels, inboundDecisionLabels, tcpAllowLabels } from "../metrics/labels.ts";
import { authorize } from "../policy/authorize.ts";
import { isAudited } from "../policy/default-policies.ts";
import type { Authorization } from "../policy/server-policy.ts";
import { forward } from "../transport/forward.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { clientOf, decisionOf, type InboundConnection } from "./connection.ts";
import type { ApplicationConnection, InboundContext } from "./context.ts";
import { AUDITED, decisionFields } from "./decision-fields.ts";
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
  if (authorization === undefined) {
    countEvent(context.families.inboundTcpAuthzDenyTotal, inboundDecisionLabels(decision));
    context.log.info("Connection denied", decisionFields(connection, policy.policy));
    transport.destroy();
    return;
  }
  countEvent(context.families.inboundTcpAuthzAllowTotal, tcpAllowLabels(decision, authorization.meta));
  if (isAudited(authorization)) {
    const by = { authorization: authorization.meta };
    // The model's words for a connection too: one search finds all that is audited.
    context.log.info(AUDITED, decisionFields(connection, policy.policy, by));
  }
  const labels = inboundAcceptedLabels(connection.target, connection.tls, decision.server);
  context.transportMetrics.track(transport, labels);

  const leave = context.drain.join(() => {});
  let application: ApplicationConnection;
  try {
    application = await context.applications.connect(connection.target);
  } catch (error) {
    leave();
    transport.destroy();
    throw error;
  }
  const { server, ended } = application;
  const isRevoked = (next: PortPolicy): boolean => {
    if (authorizeTcp(next, connection) !== undefined) return false;
    const now = inboundDecisionLabels(decisionOf(connection, next));
    countEvent(context.families.inboundTcpAuthzTerminateTotal, now);
    context.log.info("Connection terminated due to policy change", decisionFields(connection, next.policy));
    return true;
  };
  // It may have changed while the application was dialled; what was read already must not get there then.
  if (connection.policy.value !== policy && isRevoked(connection.policy.value)) {
    leave();
    server.destroy();
    transport.destroy();
    ended?.({ by: "proxy", error: revoked() });
    return;
  }
  const watching = new AbortController();
  const tunnel = forward(transport, server, prefix, (end) => {
    watching.abort();
    leave();
    ended?.(end);
  });
  connection.policy.subscribe(watching.signal, (next) => {
    if (!isRevoked(next)) return;
    tunnel.abort(revoked());
  });
}

function revoked(): ProxyError {
  return new ProxyError("unauthorized", "connection is no longer authorized", { side: "proxy" });
}

/** Bytes that are not HTTP are refused where the policy says that HTTP is all there is. */
function authorizeTcp({ policy }: PortPolicy, connection: InboundConnection): Authorization | undefined {
  const { kind } = policy.protocol;
  if (kind === "http1" || kind === "http2" || kind === "grpc") return undefined;
  return authorize(policy.authorizations, clientOf(connection));
}
