import type { DnsName } from "../addr/dns-name.ts";
import type { Id } from "../identity/id.ts";

/** The TLS status of an accepted connection. The reasons are label values of the metrics. */
export type ServerTls =
  | { readonly kind: "established"; readonly clientId: Id | undefined; readonly alpn: string | undefined }
  | { readonly kind: "passthru"; readonly sni: DnsName }
  | {
      readonly kind: "none";
      readonly reason: "disabled" | "loopback" | "port_skipped" | "no_tls_from_remote";
    };

/** The TLS status of a dialled connection. */
export type ClientTls =
  | { readonly kind: "established"; readonly serverId: Id; readonly serverName: DnsName }
  | {
      readonly kind: "none";
      readonly reason:
        | "disabled"
        | "loopback"
        | "not_provided_by_service_discovery"
        | "ingress_without_override";
    };
