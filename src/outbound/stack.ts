/**
 * The outbound proxy: from a connection that the application opens to the server that it wants.
 *
 *   accept          original destination, or explicit proxying, or a named forward       accept.ts, explicit.ts
 *                   or, in ingress mode, request by request                              ingress.ts
 *   discover        profile and policy of the target, cached                             discover.ts, target-stack.ts
 *   protocol        by policy, or by looking                                             protocol.ts, accept.ts
 *     dial ahead    while a client is silent, in case its server speaks first            dial-ahead.ts
 *   opaque          route, distribution, balancer, connect, copy                         opaque.ts, tcp-*.ts
 *   TLS             route by server name, then as opaque                                 tls/
 *   serve HTTP      errors to responses, authority                                       http/server.ts, rescue.ts
 *     logical       routes of the policy in force, or of the profile                     http/logical.ts, http/profile-service.ts
 *     route         metrics; timeouts, retries; filters, distribution over backends      http/route.ts, retry.ts
 *     backend       queue, failfast, power of two choices over peak EWMA                 http/balancer.ts, endpoint-pool.ts
 *     endpoint      metrics, load, circuit breaker                                       http/endpoint.ts, breaker.ts
 *                   rescue, proxy headers, orig-proto, client
 *     dial          mutual TLS, transport header                                         dial.ts
 */
import type { SocketAddr } from "../addr/socket-addr.ts";
import { listen, type AcceptedSocket, type Listener } from "../transport/listen.ts";
import { acceptForward, acceptOutbound } from "./accept.ts";
import type { OutboundContext } from "./context.ts";
import type { Target } from "./target.ts";

export interface OutboundListenOptions {
  readonly addrs: readonly SocketAddr[];
  readonly backlog: number | undefined;
  readonly keepAliveMs: number | undefined;
  readonly userTimeoutMs: number | undefined;
}

/** Takes the outbound ports. Connections are served from `accept()` of the listener on. */
export function listenOutbound(context: OutboundContext, options: OutboundListenOptions): Promise<Listener> {
  return bind(context, options, (accepted) => void acceptOutbound(context, accepted));
}

/** Takes the port of a named forward: every connection to it is for `target`. */
export function listenForward(
  context: OutboundContext,
  options: OutboundListenOptions,
  target: Target,
): Promise<Listener> {
  return bind(context, options, (accepted) => void acceptForward(context, accepted, target));
}

function bind(
  context: OutboundContext,
  { addrs, backlog, keepAliveMs, userTimeoutMs }: OutboundListenOptions,
  onConnection: (accepted: AcceptedSocket) => void,
): Promise<Listener> {
  return listen(addrs, {
    backlog,
    keepAliveMs,
    userTimeoutMs,
    onError: (error) => context.log.warn("Failed to accept", { error: error.message }),
    onConnection,
  });
}
