import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { detectHttp } from "../detect/detect-http.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { countEvent, observeEvent } from "../metrics/count-event.ts";
import { DETECT_HTTP_RESULTS, inboundTcpErrorLabels, serverLabels, withFirst } from "../metrics/labels.ts";
import { HandshakeError } from "../tls/handshake-error.ts";
import type { ServerTls } from "../tls/status.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { whenClosed } from "../transport/when-closed.ts";
import { decisionOf, type InboundConnection } from "./connection.ts";
import type { InboundContext } from "./context.ts";
import { serveDirect } from "./direct.ts";
import { errorLabel } from "./errors.ts";
import { serveHttp } from "./http-server.ts";
import { serveTcp } from "./tcp.ts";
import { unwrapTls } from "./unwrap-tls.ts";

/**
 * Takes a connection in: original destination, policy of its port, TLS, protocol, and then the stack for what it is.
 * Whatever fails on the way closes the connection, counted and logged; nothing is passed on in doubt.
 *
 * @param listenPort of the inbound listener: connections that were meant for it are direct ones.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/{accept,detect}.rs.
 */
export async function acceptInbound(
  context: InboundContext,
  accepted: AcceptedSocket,
  listenPort: number,
): Promise<void> {
  const { log, families, origDst, options } = context;
  const client = accepted.peerAddr;
  const looked = origDst.lookup(accepted);
  if (!looked.ok) {
    accepted.destroy();
    log.warn("Dropped a connection", { "client.addr": formatSocketAddr(client), error: looked.problem });
    return;
  }
  const target = looked.value;
  try {
    if (options.ips.length > 0 && !options.ips.some((ip) => ip.text === target.ip.text)) {
      throw new ProxyError("unexpected", `${formatSocketAddr(target)} is not an address of this workload`);
    }
    if (target.port === listenPort) await serveDirect(context, accepted, target);
    else await serveNormal(context, accepted, target);
  } catch (thrown) {
    accepted.destroy();
    const error = errorFromNode(thrown, "inbound connection");
    const label = errorLabel(error);
    if (label !== undefined) countEvent(families.inboundTcpErrorsTotal, inboundTcpErrorLabels(label, target));
    log.info("Connection closed", {
      "client.addr": formatSocketAddr(client),
      "server.addr": formatSocketAddr(target),
      ...(error instanceof HandshakeError ? { "tls.failure": error.fault, "tls.sni": error.sni } : {}),
      error: error.message,
    });
  }
}

async function serveNormal(
  context: InboundContext,
  accepted: AcceptedSocket,
  target: SocketAddr,
): Promise<void> {
  const held = context.policies.acquire(target.port);
  whenClosed(accepted.socket, () => held.release());
  const { policy } = held.value;
  const client = accepted.peerAddr;
  // Read once: the kind of protocol is decided now, and not again when the policy changes under way.
  const { protocol } = policy.value.policy;
  if (protocol.kind === "opaque") {
    const tls: ServerTls = { kind: "none", reason: "port_skipped" };
    return serveTcp(context, { client, tls, target, policy }, accepted.transport(), NOTHING);
  }
  const { transport, tls, prefix } = await unwrapTls(context, accepted, "ordinary");
  const connection: InboundConnection = { client, tls, target, policy };
  const authority = formatSocketAddr(target);
  switch (protocol.kind) {
    case "tls":
      return serveTcp(context, connection, transport, prefix);
    case "http2":
    case "grpc":
      return serveHttp(context, connection, transport, prefix, 2, authority);
    case "http1":
      if (tls.kind === "none") return serveHttp(context, connection, transport, prefix, 1, authority);
      // Peers carry HTTP/1 over HTTP/2, so a meshed connection has to be looked at.
      return detectAndServe(context, connection, transport, prefix, context.options.detectTimeoutMs, true);
    case "detect":
      return detectAndServe(context, connection, transport, prefix, protocol.timeoutMs, false);
    default:
      return protocol satisfies never;
  }
}

async function detectAndServe(
  context: InboundContext,
  connection: InboundConnection,
  transport: SocketTransport,
  prefix: Buffer,
  timeoutMs: number,
  isHttp1Port: boolean,
): Promise<void> {
  const { clock, families } = context;
  const startedAtMs = clock.nowMs();
  const found = await detectHttp(transport, clock, timeoutMs, { initial: prefix });
  const server = serverLabels(decisionOf(connection, connection.policy.value).server);
  const seconds = (clock.nowMs() - startedAtMs) / 1000;
  observeEvent(families.inboundTcpDetectHttpDurationSeconds, server, seconds);
  countEvent(
    families.inboundTcpDetectHttpResultsTotal,
    withFirst("result", DETECT_HTTP_RESULTS[found.kind], server),
  );
  const authority = formatSocketAddr(connection.target);
  switch (found.kind) {
    case "http1":
      return serveHttp(context, connection, transport, found.prefix, 1, authority);
    case "http2":
      return serveHttp(context, connection, transport, found.prefix, 2, authority);
    case "timeout":
      if (isHttp1Port) return serveHttp(context, connection, transport, found.prefix, 1, authority);
      return serveTcp(context, connection, transport, found.prefix);
    case "not_http":
    case "stopped":
      return serveTcp(context, connection, transport, found.prefix);
    case "closed":
      throw found.error ?? new ProxyError("io", "closed by the client before it said anything");
    default:
      return found satisfies never;
  }
}

const NOTHING = Buffer.alloc(0);
