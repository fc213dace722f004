import { readAuthorizationPolicy } from "./authorization-policy.ts";
import { readTcpRoute, readTlsRoute } from "./connection-route.ts";
import { readEgressNetwork } from "./egress-network.ts";
import { readEndpointSlice } from "./endpoint-slice.ts";
import { readEndpoints } from "./endpoints.ts";
import { readExternalWorkload } from "./external-workload.ts";
import { readGrpcRoute } from "./grpc-route.ts";
import { httpRouteReader } from "./http-route.ts";
import { readMeshTlsAuthentication } from "./mesh-tls-authentication.ts";
import { readNamespace } from "./namespace.ts";
import { readNetworkAuthentication } from "./network-authentication.ts";
import { readRateLimitPolicy } from "./rate-limit-policy.ts";
import type { Bad, Reader } from "./reader.ts";
import { readServerAuthorization } from "./server-authorization.ts";
import { readServiceProfile } from "./service-profile.ts";
import { readServer } from "./server.ts";
import { readService } from "./service.ts";

/** A kind of resource that is read here. */
interface Kind<R> {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  /** The versions whose fields this reader knows. */
  readonly versions: readonly string[];
  readonly read: Reader<R>;
}

function kind<R>(group: string, kind: string, versions: readonly string[], read: Reader<R>): Kind<R> {
  return { group, kind, versions, read };
}

const POLICY = "policy.linkerd.io";
const GATEWAY = "gateway.networking.k8s.io";

/** Every kind that the control plane reads. Others are passed over with a warning. */
export const KINDS = [
  kind("", "Namespace", ["v1"], readNamespace),
  kind("", "Service", ["v1"], readService),
  kind("", "Endpoints", ["v1"], readEndpoints),
  kind("discovery.k8s.io", "EndpointSlice", ["v1"], readEndpointSlice),
  kind("workload.linkerd.io", "ExternalWorkload", ["v1beta1", "v1alpha1"], readExternalWorkload),
  kind(GATEWAY, "HTTPRoute", ["v1", "v1beta1"], httpRouteReader(GATEWAY)),
  kind(POLICY, "HTTPRoute", ["v1beta3", "v1beta2", "v1beta1", "v1alpha1"], httpRouteReader(POLICY)),
  kind(GATEWAY, "GRPCRoute", ["v1", "v1alpha2"], readGrpcRoute),
  kind(GATEWAY, "TLSRoute", ["v1", "v1alpha3", "v1alpha2"], readTlsRoute),
  kind(GATEWAY, "TCPRoute", ["v1", "v1alpha2"], readTcpRoute),
  kind(POLICY, "EgressNetwork", ["v1alpha1"], readEgressNetwork),
  kind("linkerd.io", "ServiceProfile", ["v1alpha2", "v1alpha1"], readServiceProfile),
  kind(POLICY, "Server", ["v1beta3", "v1beta2", "v1beta1", "v1alpha1"], readServer),
  kind(POLICY, "ServerAuthorization", ["v1beta1", "v1alpha1"], readServerAuthorization),
  kind(POLICY, "AuthorizationPolicy", ["v1alpha1"], readAuthorizationPolicy),
  kind(POLICY, "MeshTLSAuthentication", ["v1alpha1"], readMeshTlsAuthentication),
  kind(POLICY, "NetworkAuthentication", ["v1alpha1"], readNetworkAuthentication),
  kind(POLICY, "HTTPLocalRateLimitPolicy", ["v1alpha1"], readRateLimitPolicy),
] as const;

/** Any resource that was read. */
export type AnyResource = Exclude<ReturnType<(typeof KINDS)[number]["read"]>, Bad>;
