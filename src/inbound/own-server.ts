import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { detectHttp } from "../detect/detect-http.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { HttpService } from "../http/message.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import { whenClosed } from "../transport/when-closed.ts";
import { EndpointMetrics } from "../http/endpoint-metrics.ts";
import { inboundEndpointLabels } from "../metrics/labels.ts";
import { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import type { Handle } from "../stack/idle-cache.ts";
import { ApplicationService, CountDispatched } from "./application-service.ts";
import type { ApplicationTarget } from "./application.ts";
import type { InboundConnection } from "./connection.ts";
import type { InboundContext } from "./context.ts";
import { serveHttp } from "./http-server.ts";
import { unwrapTls } from "./unwrap-tls.ts";

/** Requests to our own servers that may wait for a response at once: probes, scrapes and operators, not traffic. */
const OWN_IN_FLIGHT_MAX = 100;
const inFlight = new ConcurrencyLimit(OWN_IN_FLIGHT_MAX);

/** Nobody has a reason to think about the first bytes to an admin port for longer; a handshake may take its usual time. */
const DETECT_TIMEOUT_MS = 1_000;

/**
 * Serves one of the proxy's own HTTP services on a port of its own, behind the same TLS, detection and policy as an
 * application's: mesh TLS is optional, and the policy of the port decides each request.
 *
 * Source: linkerd2-proxy, linkerd/app/admin/src/stack.rs.
 */
export async function acceptForOwnServer(
  inbound: InboundContext,
  accepted: AcceptedSocket,
  listening: SocketAddr,
  service: HttpService,
): Promise<void> {
  const context: InboundContext = {
    ...inbound,
    // It tells of the application's requests.
    accessLog: undefined,
    options: { ...inbound.options, detectTimeoutMs: DETECT_TIMEOUT_MS },
    // Traces are about applications.
    trace: undefined,
    applications: {
      get hasRoom() {
        return inFlight.hasRoom;
      },
      acquire: (target) => countedService(inbound, target, service),
      connect: () => Promise.reject(new ProxyError("unexpected", "this port speaks HTTP only")),
    },
  };
  const held = context.policies.acquire(listening.port);
  whenClosed(accepted.socket, () => held.release());
  try {
    const { detectTimeoutMs } = inbound.options;
    const { transport, tls, prefix } = await unwrapTls(context, accepted, "ordinary", detectTimeoutMs);
    const { policy } = held.value;
    const connection: InboundConnection = { client: accepted.peerAddr, tls, target: listening, policy };
    const found = await detectHttp(transport, context.clock, DETECT_TIMEOUT_MS, { initial: prefix });
    const authority = formatSocketAddr(listening);
    if (found.kind === "closed") throw found.error ?? new ProxyError("canceled", "closed by the client");
    if (found.kind === "not_http" || found.kind === "stopped")
      throw new ProxyError("bad_message", "not HTTP");
    // A silent client over mesh TLS is a proxy, and those speak HTTP/2 to each other.
    const whenSilent = tls.kind === "established" ? 2 : 1;
    const version = found.kind === "timeout" ? whenSilent : found.kind === "http1" ? 1 : 2;
    serveHttp(context, connection, transport, found.prefix, version, authority);
  } catch (thrown) {
    accepted.destroy();
    const error = errorFromNode(thrown, "admin connection");
    context.log.debug("Connection closed", {
      "client.addr": formatSocketAddr(accepted.peerAddr),
      error: error.message,
    });
  }
}

/** Our own services are counted as applications are, in the legacy families. */
function countedService(
  { families, clock }: InboundContext,
  { connection: { target, tls }, server, route, authorization }: ApplicationTarget,
  service: HttpService,
): Handle<HttpService> {
  const labels = inboundEndpointLabels({ authority: undefined, target, tls, server, route, authorization });
  const metrics = new EndpointMetrics(families, labels, () => clock.nowMs());
  const dispatched = new CountDispatched(metrics, service);
  return {
    value: new ApplicationService(metrics, undefined, inFlight, dispatched),
    release: () => metrics.close(),
  };
}
