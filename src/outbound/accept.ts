import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { detectHttp } from "../detect/detect-http.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import {
  outboundAcceptedLabels,
  outboundTcpErrorLabels,
  parentLabels,
  withFirst,
} from "../metrics/labels.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { whenClosed } from "../transport/when-closed.ts";
import type { OutboundContext } from "./context.ts";
import { dialAheadFor, speaksFirst } from "./dial-ahead-for.ts";
import type { Discovered } from "./discover.ts";
import { errorLabel } from "./errors.ts";
import { serveExplicit } from "./explicit.ts";
import { serveHttp } from "./http/server.ts";
import { serveIngress } from "./ingress.ts";
import { chooseProtocol } from "./protocol.ts";
import { countDetection, serveOpaque } from "./serve-detected.ts";
import type { TargetStack } from "./target-stack.ts";
import { defaultAuthority, type Target } from "./target.ts";
import { serveTls } from "./tls/serve-tls.ts";
import { waitForDiscovery } from "./wait-for-discovery.ts";

/**
 * Takes in a connection of an application: finds where it wanted to go, and serves it as what it is. A connection that
 * nobody redirected came to us on purpose: its requests tell their target themselves.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{sidecar,protocol}.rs.
 */
export async function acceptOutbound(context: OutboundContext, accepted: AcceptedSocket): Promise<void> {
  const found = context.origDst.lookup(accepted);
  if (!found.ok) {
    accepted.destroy();
    const client = formatSocketAddr(accepted.peerAddr);
    context.log.warn("Dropped a connection", { "client.addr": client, error: found.problem });
    return;
  }
  const origDst = found.value;
  const isOurs = formatSocketAddr(origDst) === formatSocketAddr(accepted.localAddr);
  await closingOnFailure(context, accepted, origDst, () =>
    isOurs
      ? serveExplicit(context, accepted)
      : context.options.ingressMode
        ? serveIngress(context, accepted, origDst)
        : serveTarget(context, accepted, { kind: "addr", addr: origDst }),
  );
}

/** Takes in a connection to a named forward: its target is the one that the listener stands for. */
export async function acceptForward(
  context: OutboundContext,
  accepted: AcceptedSocket,
  target: Target,
): Promise<void> {
  await closingOnFailure(context, accepted, accepted.localAddr, () => serveTarget(context, accepted, target));
}

async function closingOnFailure(
  { log, families }: OutboundContext,
  accepted: AcceptedSocket,
  origDst: SocketAddr,
  serve: () => Promise<void>,
): Promise<void> {
  try {
    await serve();
  } catch (thrown) {
    accepted.destroy();
    const error = errorFromNode(thrown, "outbound connection");
    const label = errorLabel(error);
    if (label !== undefined)
      countEvent(families.outboundTcpErrorsTotal, outboundTcpErrorLabels(origDst, label));
    log.info("Connection closed", {
      "client.addr": formatSocketAddr(accepted.peerAddr),
      "server.addr": formatSocketAddr(origDst),
      error: error.message,
    });
  }
}

/** Discovers the target, settles the protocol, and hands the connection to the stack for it. */
async function serveTarget(
  context: OutboundContext,
  accepted: AcceptedSocket,
  target: Target,
): Promise<void> {
  const held = context.targets.acquire(target);
  whenClosed(accepted.socket, () => held.release());
  const stack = held.value;
  const transport = accepted.transport();
  const { discovered, prefix: early } = await waitForDiscovery(stack, transport, context.clock);
  const labels = outboundAcceptedLabels(target.kind === "addr" ? target.addr : accepted.localAddr);
  context.transportMetrics.track(transport, labels);
  const choice = chooseProtocol(discovered.policy.value, discovered.profile?.value);
  const parent = parentLabels(discovered.policy.value.parent);
  countEvent(
    context.families.outboundTcpProtocolConnectionsTotal,
    withFirst("protocol", PROTOCOLS[choice], parent),
  );
  const http = (version: 1 | 2, prefix: Buffer): void => {
    const service = stack.http(version, discovered);
    const authority = stack.http1Authority ?? defaultAuthority(target);
    const { peerAddr: client } = accepted;
    serveHttp(
      context,
      { client, transport, prefix, version, defaultAuthority: authority, onClose: () => {} },
      service,
    );
  };
  switch (choice) {
    case "http1":
      return http(1, early);
    case "http2":
      return http(2, early);
    case "opaque":
      return serveOpaque(context, stack, discovered, transport, early);
    case "tls":
      return serveTls(context, stack.tls(discovered), transport, early);
    case "detect":
      return detectAndServe(context, stack, discovered, transport, early, http);
    default:
      return choice satisfies never;
  }
}

async function detectAndServe(
  context: OutboundContext,
  stack: TargetStack,
  discovered: Discovered,
  transport: SocketTransport,
  early: Buffer,
  http: (version: 1 | 2, prefix: Buffer) => void,
): Promise<void> {
  const { clock, options } = context;
  const { parent } = discovered.policy.value;
  const ahead = dialAheadFor(context, transport, stack.target, parent, () =>
    Promise.resolve(stack.opaque(discovered).route().route),
  );
  try {
    const startedAtMs = clock.nowMs();
    const found = await detectHttp(transport, clock, options.detectTimeoutMs, {
      initial: early,
      ...speaksFirst(ahead),
    });
    countDetection(context, parent, stack.target, found.kind, startedAtMs);
    switch (found.kind) {
      case "http1":
        return http(1, found.prefix);
      case "http2":
        return http(2, found.prefix);
      case "timeout":
      case "not_http":
      case "stopped":
        return await serveOpaque(context, stack, discovered, transport, found.prefix, ahead);
      case "closed":
        throw found.error ?? new ProxyError("canceled", "closed by the application before it said anything");
      default:
        return found satisfies never;
    }
  } finally {
    // Whoever has use for it has taken it by now.
    ahead?.drop();
  }
}

/** Label values of `outbound_tcp_protocol_connections_total`. */
const PROTOCOLS = { http1: "http/1", http2: "http/2", detect: "detect", opaque: "opaq", tls: "tls" } as const;
