import type { DnsName } from "../addr/dns-name.ts";
import { parseAddr } from "../addr/name-addr.ts";
import { isLoopback, type Ip } from "../addr/ip.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import type { Families } from "../metrics/families.ts";
import {
  outboundDialledLabels,
  tlsFailureLabels,
  tlsHandshakeLabels,
  type OutboundEndpoint,
} from "../metrics/labels.ts";
import type { Endpoint, EndpointMetadata } from "../policy/endpoint.ts";
import type { Clock } from "../time/clock.ts";
import { HandshakeError } from "../tls/handshake-error.ts";
import type { Originator, TlsTarget } from "../tls/originate.ts";
import type { ClientTls } from "../tls/status.ts";
import { connectTcp } from "../transport/connect.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { TransportMetrics } from "../transport/transport-metrics.ts";
import {
  encodeTransportHeader,
  TRANSPORT_HEADER_ALPN,
  type TransportHeader,
} from "../wire/transport-header.ts";
import { TransferCosts } from "./transfer-cost.ts";

/** What travels on a connection, as the transport header tells it. */
export type Session = TransportHeader["sessionProtocol"];

export interface DialerOptions {
  readonly clock: Clock;
  readonly originator: Originator;
  readonly connectTimeoutMs: number;
  readonly keepAliveMs: number | undefined;
  readonly userTimeoutMs: number | undefined;
  /** Addresses of this very workload: spoken to in clear text, as if they were not meshed. */
  readonly localIps: readonly Ip[];
  readonly allowLoopback: boolean;
  readonly families: Families;
  readonly transportMetrics: TransportMetrics;
}

type MeshIdentity = Extract<EndpointMetadata["identity"], { kind: "mesh" }>;

/**
 * Whether endpoints at an address of this very workload are told apart. Single endpoints that bytes are forwarded to are
 * taken as they are described, wherever they are (section 1.2 of the specification of the outbound proxy).
 */
export type Locality = "by_address" | "never_local";

/** Connects to endpoints as their metadata asks: mutual TLS, the peer's inbound port, the transport header. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #localIps: ReadonlySet<string>;
  readonly #transferCosts: TransferCosts;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#localIps = new Set(options.localIps.map((ip) => ip.text));
    this.#transferCosts = new TransferCosts(options.families);
  }

  isLocal(addr: SocketAddr): boolean {
    return this.#localIps.has(addr.ip.text);
  }

  /** How a connection to the endpoint is secured: a label of its metrics, and no guess. */
  tlsOf(endpoint: Endpoint, locality: Locality = "by_address"): ClientTls {
    const { identity } = endpoint.metadata;
    if (locality === "by_address" && this.isLocal(endpoint.addr)) return { kind: "none", reason: "loopback" };
    if (identity.kind !== "mesh") return { kind: "none", reason: "not_provided_by_service_discovery" };
    return { kind: "established", serverId: identity.serverId, serverName: identity.serverName };
  }

  /**
   * @param at how the connection is counted.
   * @throws ProxyError: `io`, `connect_timeout`, `tls_identity`, `canceled`.
   */
  async dial(
    endpoint: Endpoint,
    session: Session,
    at: OutboundEndpoint,
    signal?: AbortSignal,
    locality: Locality = "by_address",
  ): Promise<SocketTransport> {
    const { addr, metadata } = endpoint;
    if (!this.#options.allowLoopback && isLoopback(addr.ip)) {
      const text =
        "connection refused: the outbound proxy does not initiate connections on the loopback interface";
      throw new ProxyError("io", `endpoint ${formatSocketAddr(addr)}: ${text}`);
    }
    const local = locality === "by_address" && this.isLocal(addr);
    // An identity that nobody can check must never become clear text.
    if (metadata.identity.kind === "invalid" && !local) {
      throw new ProxyError(
        "tls_identity",
        `endpoint ${formatSocketAddr(addr)}: ${metadata.identity.problem}`,
      );
    }
    const transport =
      metadata.identity.kind === "mesh" && !local
        ? await this.#dialMesh(endpoint, metadata.identity, session, signal)
        : await connectTcp(addr, this.#tcpOptions(signal));
    const cost = this.#transferCosts.countersFor(metadata.labels);
    this.#options.transportMetrics.track(transport, outboundDialledLabels(at), cost);
    return transport;
  }

  async #dialMesh(
    { addr, metadata }: Endpoint,
    { serverId, serverName }: MeshIdentity,
    session: Session,
    signal: AbortSignal | undefined,
  ): Promise<SocketTransport> {
    const { taggedTransportPort, authorityOverride, protocolHint } = metadata;
    const mayNeedHeader = taggedTransportPort !== undefined || authorityOverride !== undefined;
    const target: TlsTarget = {
      addr: { ip: addr.ip, port: taggedTransportPort ?? addr.port },
      serverId,
      serverName,
      alpn: mayNeedHeader ? TRANSPORT_HEADER_ALPN : undefined,
    };
    const { originator, families } = this.#options;
    const connection = await originator.originate(target, signal).catch((error: unknown) => {
      if (error instanceof HandshakeError) {
        countEvent(families.outriggerTlsHandshakeFailuresTotal, tlsFailureLabels("outbound", error.fault));
      }
      throw error;
    });
    const { transport, alpn, group, version } = connection;
    const labels = tlsHandshakeLabels("outbound", group ?? "", version);
    countEvent(families.outriggerTlsHandshakesTotal, labels);
    // A peer that did not agree to the header would take it for application bytes.
    if (alpn === TRANSPORT_HEADER_ALPN) {
      const told = toldByOverride(authorityOverride);
      const header = encodeTransportHeader({
        port: told?.port ?? addr.port,
        name: told?.name,
        sessionProtocol: protocolHint === "opaque" ? undefined : session,
      });
      transport.write(header, 0, header.length);
    }
    return transport;
  }

  #tcpOptions(signal: AbortSignal | undefined) {
    const { clock, connectTimeoutMs, keepAliveMs, userTimeoutMs } = this.#options;
    return {
      clock,
      timeoutMs: connectTimeoutMs,
      keepAliveMs,
      userTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    };
  }
}

/**
 * What a gateway is told instead of the endpoint's own port: only an override with an explicit port counts, and only a
 * name that can be looked up is passed on with it.
 */
function toldByOverride(
  override: string | undefined,
): { port: number; name: DnsName | undefined } | undefined {
  if (override === undefined) return undefined;
  const addr = parseAddr(override);
  if (!addr.ok) return undefined;
  const { value } = addr;
  return value.kind === "name" ? value.name : { port: value.socket.port, name: undefined };
}
