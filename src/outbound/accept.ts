import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { detectHttp } from "../detect/detect-http.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent, observeEvent } from "../metrics/count-event.ts";
import {
  outboundAcceptedLabels,
  outboundTcpErrorLabels,
  parentLabels,
  withFirst,
} from "../metrics/labels.ts";
import { forward } from "../transport/forward.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { whenClosed } from "../transport/when-closed.ts";
import type { OutboundContext } from "./context.ts";
import type { Discovered } from "./discover.ts";
import { errorLabel } from "./errors.ts";
import { serveExplicit } from "./explicit.ts";
import { serveHttp } from "./http/server.ts";
import { chooseProtocol } from "./protocol.ts";
import type { TargetStack } from "./target-stack.ts";
import { formatTarget, type Target } from "./target.ts";
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
      : serveTarget(context, accepted, { kind: "addr", addr: origDst }, formatSocketAddr(origDst)),
  );
}

/** Takes in a connection to a named forward: its target is the one that the listener stands for. */
export async function acceptForward(
  context: OutboundContext,
  accepted: AcceptedSocket,
  target: Target,
): Promise<void> {
  await closingOnFailure(context, accepted, accepted.localAddr, () =>
    serveTarget(context, accepted, target, formatTarget(target)),
  );
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
  authority: string,
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
  const http = (version: 1 | 2, prefix: Buffer): void =>
    serveHttp(
      context,
      {
        client: accepted.peerAddr,
        transport,
        prefix,
        version,
        defaultAuthority: authority,
        onClose: () => {},
      },
      stack.http(version, discovered),
    );
  switch (choice) {
    case "http1":
      return http(1, early);
    case "http2":
      return http(2, early);
    case "opaque":
      return serveOpaque(context, stack, discovered, transport, early);
    case "tls":
      throw new ProxyError(
        "unexpected",
        `${formatTarget(target)}: routing by TLS server name is not supported`,
      );
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
  const { clock, families, options } = context;
  const startedAtMs = clock.nowMs();
  const found = await detectHttp(transport, clock, options.detectTimeoutMs, { initial: early });
  const parent = parentLabels(discovered.policy.value.parent);
  const seconds = (clock.nowMs() - startedAtMs) / 1000;
  observeEvent(families.outboundTcpDetectHttpDurationSeconds, parent, seconds);
  countEvent(families.outboundTcpDetectHttpResultsTotal, withFirst("result", RESULTS[found.kind], parent));
  switch (found.kind) {
    case "http1":
      return http(1, found.prefix);
    case "http2":
      return http(2, found.prefix);
    case "timeout":
      context.log.info("Continuing after timeout: HTTP detection", { target: formatTarget(stack.target) });
      return serveOpaque(context, stack, discovered, transport, found.prefix);
    case "not_http":
    case "stopped":
      return serveOpaque(context, stack, discovered, transport, found.prefix);
    case "closed":
      throw found.error ?? new ProxyError("canceled", "closed by the application before it said anything");
    default:
      return found satisfies never;
  }
}

/** Copies bytes both ways; the application learns of a failure to connect only by its connection closing. */
export async function serveOpaque(
  context: OutboundContext,
  stack: TargetStack,
  discovered: Discovered,
  transport: SocketTransport,
  prefix: Buffer,
): Promise<void> {
  const gone = new AbortController();
  whenClosed(transport.socket, () => gone.abort());
  const server = await stack.opaque(discovered).connect(gone.signal);
  const leave = context.drain.join(() => {});
  forward(transport, server, prefix, leave);
}

/** Label values of `outbound_tcp_protocol_connections_total`. */
const PROTOCOLS = { http1: "http/1", http2: "http/2", detect: "detect", opaque: "opaq", tls: "tls" } as const;

/** Label values of `outbound_tcp_detect_http_results_total`. */
const RESULTS = {
  http1: "http/1",
  http2: "http/2",
  not_http: "not_http",
  stopped: "not_http",
  timeout: "read_timeout",
  closed: "error",
} as const;
