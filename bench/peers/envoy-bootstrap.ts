/** What Envoy is to do: its static configuration, as JSON of the message envoy.config.bootstrap.v3.Bootstrap. */

import type { Certs, Job } from "./peer.ts";

/** How one Envoy is to listen and where it sends. Both ends are on 127.0.0.1. */
export interface EnvoyPart {
  readonly name: "hop" | "inbound" | "outbound";
  /** What the application and its client speak. */
  readonly protocol: Job["protocol"];
  readonly port: number;
  readonly targetPort: number;
  readonly certs: Certs;
}

/** More than any scenario has at once; Envoy's own limit for a cluster is 1,024. */
const AT_ONCE_MAX = 8_000;

// Windows that bulk data does not fill, as the other peers have them.
const HTTP2 = {
  max_concurrent_streams: 1_000,
  initial_stream_window_size: 1 << 20,
  initial_connection_window_size: 1 << 24,
};

/** Source: Envoy, api/envoy/config/bootstrap/v3/bootstrap.proto and the extensions that `@type` names. */
export function envoyBootstrap(part: EnvoyPart) {
  return {
    static_resources: { listeners: [listener(part)], clusters: [cluster(part)] },
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: {
            "@type": typeOf("resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
            max_active_downstream_connections: AT_ONCE_MAX,
          },
        },
      ],
    },
  };
}

function listener(part: EnvoyPart) {
  const tls = part.name === "inbound" ? { transport_socket: transportSocket(acceptTls(part)) } : {};
  const filter = part.protocol === "tcp" ? tcpProxy() : httpConnectionManager(part);
  return {
    name: "clients",
    address: loopback(part.port),
    filter_chains: [{ filters: [filter], ...tls }],
  };
}

function cluster(part: EnvoyPart) {
  const tls = part.name === "outbound" ? { transport_socket: transportSocket(connectTls(part)) } : {};
  const http = part.protocol === "tcp" ? {} : { typed_extension_protocol_options: httpUpstream(part) };
  return {
    name: "servers",
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: {
      cluster_name: "servers",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(part.targetPort) } }] }],
    },
    circuit_breakers: {
      thresholds: [
        {
          max_connections: AT_ONCE_MAX,
          max_pending_requests: AT_ONCE_MAX,
          max_requests: AT_ONCE_MAX,
          max_retries: AT_ONCE_MAX,
        },
      ],
    },
    ...http,
    ...tls,
  };
}

function tcpProxy() {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: {
      "@type": typeOf("filters.network.tcp_proxy.v3.TcpProxy"),
      stat_prefix: "clients",
      cluster: "servers",
    },
  };
}

/** Adds a header each way, as a sidecar does, in place of the several that Envoy would add as an edge. */
function httpConnectionManager({ name, protocol }: EnvoyPart) {
  const http2 = name === "inbound" || protocol === "http2";
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": typeOf("filters.network.http_connection_manager.v3.HttpConnectionManager"),
      stat_prefix: "clients",
      codec_type: http2 ? "HTTP2" : "HTTP1",
      ...(http2 ? { http2_protocol_options: HTTP2 } : {}),
      generate_request_id: false,
      server_header_transformation: "PASS_THROUGH",
      route_config: {
        name: "everything",
        request_headers_to_add: [
          header(
            "x-forwarded-for",
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
            "APPEND_IF_EXISTS_OR_ADD",
          ),
        ],
        response_headers_to_add: [header("x-proxy", name, "OVERWRITE_IF_EXISTS_OR_ADD")],
        virtual_hosts: [
          {
            name: "everything",
            domains: ["*"],
            // Otherwise a response of more than 15 seconds would be cut off.
            routes: [{ match: { prefix: "/" }, route: { cluster: "servers", timeout: "0s" } }],
          },
        ],
      },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": typeOf("filters.http.router.v3.Router"), suppress_envoy_headers: true },
        },
      ],
    },
  };
}

function header(key: string, value: string, append_action: string) {
  return { header: { key, value }, append_action };
}

function httpUpstream({ name, protocol }: EnvoyPart) {
  const http2 = name === "outbound" || protocol === "http2";
  return {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": typeOf("upstreams.http.v3.HttpProtocolOptions"),
      explicit_http_config: http2 ? { http2_protocol_options: HTTP2 } : { http_protocol_options: {} },
    },
  };
}

/** Connections of `tcp` come one for each of the client's, and nobody in a mesh resumes sessions. */
function acceptTls(part: EnvoyPart) {
  const full =
    part.protocol === "tcp"
      ? { disable_stateless_session_resumption: true, disable_stateful_session_resumption: true }
      : {};
  return {
    "@type": typeOf("transport_sockets.tls.v3.DownstreamTlsContext"),
    common_tls_context: mutualTls(part),
    require_client_certificate: true,
    ...full,
  };
}

function connectTls(part: EnvoyPart) {
  return {
    "@type": typeOf("transport_sockets.tls.v3.UpstreamTlsContext"),
    common_tls_context: mutualTls(part),
    sni: part.certs.name,
    ...(part.protocol === "tcp" ? { max_session_keys: 0 } : {}),
  };
}

/**
 * The suite cannot be asked for: BoringSSL takes no list for TLS 1.3. Between two of its own kind it takes the suite of
 * the other peers wherever the processor knows AES (envoy issue 34720).
 */
function mutualTls({ protocol, certs }: EnvoyPart) {
  return {
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    tls_certificates: [{ certificate_chain: { filename: certs.cert }, private_key: { filename: certs.key } }],
    validation_context: {
      trusted_ca: { filename: certs.ca },
      match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: certs.name } }],
    },
    ...(protocol === "tcp" ? {} : { alpn_protocols: ["h2"] }),
  };
}

function transportSocket(typed_config: object) {
  return { name: "envoy.transport_sockets.tls", typed_config };
}

function loopback(port_value: number) {
  return { socket_address: { address: "127.0.0.1", port_value } };
}

function typeOf(extension: string): string {
  return `type.googleapis.com/envoy.extensions.${extension}`;
}
