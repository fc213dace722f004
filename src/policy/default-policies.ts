import type { Cidr } from "../addr/cidr.ts";
import { ipFromBytes } from "../addr/ip.ts";
import { assertNever } from "../parsed.ts";
import { metaDefault } from "./meta.ts";
import type { Authentication, Authorization, HttpServerRoute, ServerPolicy } from "./server-policy.ts";

/** Values of `LINKERD2_PROXY_INBOUND_DEFAULT_POLICY`; also the names of the policies in metrics. */
export const DEFAULT_POLICY_NAMES = [
  "all-unauthenticated",
  "all-authenticated",
  "cluster-unauthenticated",
  "cluster-authenticated",
  "audit",
  "deny",
] as const;
export type DefaultPolicyName = (typeof DEFAULT_POLICY_NAMES)[number];

export interface DefaultPolicyParams {
  readonly detectTimeoutMs: number;
  /** For `cluster-*` alone, which hold for nobody if it is empty. */
  readonly clusterNetworks: readonly Cidr[];
}

const ANY_IPV4: Cidr = { ip: ipFromBytes(new Uint8Array(4)), prefix: 0 };
const ANY_IPV6: Cidr = { ip: ipFromBytes(new Uint8Array(16)), prefix: 0 };
const EVERYWHERE: readonly Cidr[] = [ANY_IPV4, ANY_IPV6];
const LOCALHOST: readonly Cidr[] = [
  { ip: ipFromBytes(Uint8Array.of(127, 0, 0, 1)), prefix: 32 },
  { ip: ipFromBytes(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)), prefix: 128 },
];

const UNAUTHENTICATED: Authentication = { kind: "unauthenticated" };
/** Every DNS identity ends with the empty suffix; SPIFFE identities are not matched by suffix. */
const ANY_DNS_IDENTITY: Authentication = {
  kind: "tls_authenticated",
  identities: new Set(),
  suffixes: [""],
};

/** The authorization that every discovered server carries after its own: the pod may talk to itself. */
export const LOCALHOST_AUTHORIZATION: Authorization = authorizationFor(
  "localhost",
  LOCALHOST,
  UNAUTHENTICATED,
);

/** Name of the default authorization whose use is logged. */
export const AUDIT_AUTHORIZATION_NAME = "audit";

/** Whether a request allowed by this authorization is to be logged. */
export function isAudited(authorization: Authorization): boolean {
  return authorization.meta.kind === "default" && authorization.meta.name === AUDIT_AUTHORIZATION_NAME;
}

/**
 * The policy of a port of which the controller has said nothing yet.
 *
 * It carries no localhost authorization, unlike what the controller sends.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/policy/defaults.rs.
 */
export function defaultServerPolicy(name: DefaultPolicyName, params: DefaultPolicyParams): ServerPolicy {
  const authorizations = authorizationsOf(name, params.clusterNetworks);
  const meta = metaDefault(name);
  if (name === "deny") return { meta, protocol: { kind: "opaque" }, authorizations };
  return {
    meta,
    protocol: {
      kind: "detect",
      timeoutMs: params.detectTimeoutMs,
      routes: [catchAllRoute(authorizations)],
      rateLimit: undefined,
    },
    authorizations,
  };
}

/** The same policy for a port on which no protocol is to be detected. */
export function opaqueServerPolicy(policy: ServerPolicy): ServerPolicy {
  return { meta: policy.meta, protocol: { kind: "opaque" }, authorizations: policy.authorizations };
}

/** The route of a policy that names none: it takes every request. */
export function catchAllRoute(authorizations: readonly Authorization[]): HttpServerRoute {
  return {
    meta: metaDefault("default"),
    hosts: [],
    rules: [{ matches: [], filters: [] }],
    authorizations,
  };
}

function authorizationsOf(
  name: DefaultPolicyName,
  clusterNetworks: readonly Cidr[],
): readonly Authorization[] {
  switch (name) {
    case "all-unauthenticated":
    case "audit":
      return [authorizationFor(name, EVERYWHERE, UNAUTHENTICATED)];
    case "all-authenticated":
      return [authorizationFor(name, EVERYWHERE, ANY_DNS_IDENTITY)];
    case "cluster-unauthenticated":
      return [authorizationFor(name, clusterNetworks, UNAUTHENTICATED)];
    case "cluster-authenticated":
      return [authorizationFor(name, clusterNetworks, ANY_DNS_IDENTITY)];
    case "deny":
      return [];
    default:
      return assertNever(name);
  }
}

function authorizationFor(
  name: string,
  networks: readonly Cidr[],
  authentication: Authentication,
): Authorization {
  return {
    meta: metaDefault(name),
    networks: networks.map((net) => ({ net, except: [] })),
    authentication,
  };
}
