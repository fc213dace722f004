import type { SocketAddr } from "../addr/socket-addr.ts";
import type { Labels } from "../metrics/registry.ts";
import { metaGroup, metaKind, metaName, type Meta } from "../policy/meta.ts";
import type { ClientTls, ServerTls } from "../tls/status.ts";

/** Where in the proxy requests are looked at: what is the same for all requests of one client stack. */
export interface TapPoint {
  readonly direction: "inbound" | "outbound";
  readonly sourceLabels: Labels;
  readonly destination: SocketAddr;
  /** What observers may ask for. */
  readonly destinationLabels: Labels;
  /** What stands in events besides: the TLS towards the destination. */
  readonly destinationTls: Labels;
  /** Replaces the authority of every request below the point; undefined leaves them their own. */
  readonly authority: string | undefined;
}

/** The application of this workload, as one client meets it. */
export interface InboundTapTarget {
  readonly tls: ServerTls;
  readonly target: SocketAddr;
  readonly server: Meta;
  readonly route: Meta;
  readonly authorization: Meta;
}

/** Source: linkerd2-proxy, linkerd/app/inbound/src/http/router.rs. */
export function inboundTapPoint(at: InboundTapTarget): TapPoint {
  return {
    direction: "inbound",
    sourceLabels: acceptedTls(at.tls),
    destination: at.target,
    destinationLabels: [
      ...metaLabels("srv", at.server),
      ...metaLabels("route", at.route),
      ...metaLabels("authz", at.authorization),
    ],
    destinationTls: LOOPBACK,
    authority: undefined,
  };
}

/** An endpoint that applications of this workload call. */
export interface OutboundTapTarget {
  readonly addr: SocketAddr;
  readonly tls: ClientTls;
  /** Of discovery, without prefix. */
  readonly labels: Labels;
  readonly authorityOverride: string | undefined;
}

/** Source: linkerd2-proxy, linkerd/app/outbound/src/http/concrete.rs. */
export function outboundTapPoint(at: OutboundTapTarget): TapPoint {
  return {
    direction: "outbound",
    sourceLabels: LOOPBACK,
    destination: at.addr,
    destinationLabels: at.labels,
    destinationTls: dialledTls(at.tls),
    authority: at.authorityOverride,
  };
}

const LOOPBACK: Labels = [["tls", "loopback"]];

/** Source: linkerd2-proxy, linkerd/proxy/tap/src/grpc/server.rs. */
function acceptedTls(tls: ServerTls): Labels {
  switch (tls.kind) {
    case "established":
      return [
        ["tls", "true"],
        ["client_id", tls.clientId?.text ?? ""],
      ];
    case "passthru":
      return [
        ["tls", "passthru"],
        ["sni", tls.sni],
      ];
    case "none":
      return [["tls", tls.reason]];
    default:
      return tls satisfies never;
  }
}

function dialledTls(tls: ClientTls): Labels {
  if (tls.kind === "none") return [["tls", tls.reason]];
  return [
    ["tls", "true"],
    ["server_id", tls.serverId.text],
  ];
}

function metaLabels(prefix: string, meta: Meta): Labels {
  return [
    [`${prefix}_group`, metaGroup(meta)],
    [`${prefix}_kind`, metaKind(meta)],
    [`${prefix}_name`, metaName(meta)],
  ];
}
