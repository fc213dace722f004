/**
 * The inbound proxy: from a connection that somebody made to this workload to its application.
 *
 *   accept          original destination, allowed addresses, the policy of the port      accept.ts, policy-store.ts
 *   direct          a peer's connection to our own port: transport header                direct.ts
 *     gateway       one that names somebody else's service                               ../gateway
 *   unwrap TLS      ours is ended, anybody else's passes through                          unwrap-tls.ts
 *   detect          HTTP/1, HTTP/2 or neither, as far as the policy leaves it open        accept.ts
 *   serve TCP       authorize once, forward, look again when the policy changes           tcp.ts
 *   serve HTTP      errors to responses, downgrade, client identity, authority            http-server.ts, rescue.ts
 *     route         route, authorize, filter, limit each request                          http-router.ts
 *     application   a client per identity, route and authority                            application.ts
 *       profile     counts by the routes of a ServiceProfile                              profiles.ts, profile-routes.ts
 *       exchange    counts, bounds what is in flight                                      application-service.ts
 */
import type { SocketAddr } from "../addr/socket-addr.ts";
import { listen, type Listener } from "../transport/listen.ts";
import { acceptInbound } from "./accept.ts";
import type { InboundContext } from "./context.ts";

export interface InboundListenOptions {
  readonly addr: SocketAddr;
  readonly backlog: number | undefined;
  readonly keepAliveMs: number | undefined;
  readonly userTimeoutMs: number | undefined;
}

/** Takes the inbound port. Connections are served from `accept()` of the listener on. */
export async function listenInbound(
  context: InboundContext,
  options: InboundListenOptions,
): Promise<Listener> {
  const { addr, backlog, keepAliveMs, userTimeoutMs } = options;
  const listener = await listen([addr], {
    backlog,
    keepAliveMs,
    userTimeoutMs,
    onError: (error) => context.log.warn("Failed to accept", { error: error.message }),
    onConnection: (accepted) => void acceptInbound(context, accepted, listener.addrs[0]?.port ?? addr.port),
  });
  return listener;
}
