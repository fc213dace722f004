import type { ClientPolicy, Profile } from "../policy/client-policy.ts";

/** What to do with a connection before any byte of it was read. */
export type ProtocolChoice = "detect" | "http1" | "http2" | "opaque" | "tls";

/**
 * The protocol of a new connection by what discovery says now. A profile that declares the port opaque overrides any
 * policy; gRPC is HTTP/2 to us.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{protocol,sidecar}.rs.
 */
export function chooseProtocol(policy: ClientPolicy, profile: Profile | undefined): ProtocolChoice {
  if (profile?.opaqueProtocol === true) return "opaque";
  const { kind } = policy.protocol;
  return kind === "grpc" ? "http2" : kind;
}
