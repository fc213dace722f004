import type { MessageInitShape } from "@bufbuild/protobuf";
import { assertNever } from "../../parsed.ts";
import type { Cidr } from "../../addr/cidr.ts";
import { ipFromBytes } from "../../addr/ip.ts";
import type { Network } from "../../policy/server-policy.ts";
import type { AuthnSchema, AuthzSchema, NetworkSchema } from "../../proto/gen/inbound_pb.js";
import type { AuthorizationPolicy } from "../resources/authorization-policy.ts";
import type { IdentityMatch } from "../resources/identities.ts";
import type { InboundPolicy } from "../resources/inbound-policy-mode.ts";
import { selects } from "../resources/label-selector.ts";
import type { ServerAuthorization } from "../resources/server-authorization.ts";
import type { Server } from "../resources/server.ts";
import type { Cluster } from "./cluster.ts";
import { defaultMeta, ipNetwork, resourceMeta } from "./messages.ts";
import { namespaceIdentity, serviceAccountIdentity, type ClusterSettings } from "./settings.ts";

/** Who is let in, as the inbound API says it. Source: linkerd2, policy-controller/grpc/src/inbound.rs. */
export type AuthzInit = MessageInitShape<typeof AuthzSchema>;
type AuthnInit = MessageInitShape<typeof AuthnSchema>;

const EVERY_NETWORK: readonly Cidr[] = [4, 16].map((bytes) => ({
  ip: ipFromBytes(new Uint8Array(bytes)),
  prefix: 0,
}));

const ANY_IDENTITY: readonly IdentityMatch[] = [{ kind: "suffix", labels: [] }];

/** The authorization that a default policy stands for; `deny` stands for none. */
export function defaultAuthorizations(settings: ClusterSettings, mode: InboundPolicy): readonly AuthzInit[] {
  if (mode === "deny") return [];
  const nets = mode.startsWith("cluster-") ? settings.clusterNetworks : EVERY_NETWORK;
  const authentication = mode.endsWith("-authenticated") ? identityAuthn(ANY_IDENTITY) : UNAUTHENTICATED;
  return [
    {
      networks: nets.map((net) => ({ net: ipNetwork(net) })),
      authentication,
      labels: { group: "", kind: "default", name: mode },
      metadata: defaultMeta(mode),
    },
  ];
}

/** Everyone whom the resources admit to all of a Server's port. */
export function serverAuthorizations(cluster: Cluster, server: Server): readonly AuthzInit[] {
  const { namespace, name, labels } = server.meta;
  const older = cluster
    .serverAuthorizationsIn(namespace)
    .filter(({ server: target }) =>
      target.kind === "name" ? target.name === name : selects(target.selector, labels),
    )
    .map((authorization) => serverAuthorization(cluster.settings, authorization));
  const policies = cluster
    .policiesIn(namespace)
    .filter(({ target }) => target.kind === "Namespace" || (target.kind === "Server" && target.name === name))
    .flatMap((policy) => policyAuthorization(cluster, policy));
  return [...older, ...policies, ...defaultAuthorizations(cluster.settings, server.accessPolicy)];
}

/** Everyone whom the resources admit to one route. */
export function routeAuthorizations(
  cluster: Cluster,
  route: {
    readonly kind: "HTTPRoute" | "GRPCRoute";
    readonly group: string;
    readonly meta: { readonly namespace: string; readonly name: string };
  },
): readonly AuthzInit[] {
  const { kind, group, meta } = route;
  return cluster
    .policiesIn(meta.namespace)
    .filter(
      ({ target }) =>
        target.kind === kind && "group" in target && target.group === group && target.name === meta.name,
    )
    .flatMap((policy) => policyAuthorization(cluster, policy));
}

function serverAuthorization(settings: ClusterSettings, authorization: ServerAuthorization): AuthzInit {
  const { client, meta } = authorization;
  const nets = authorization.networks.length > 0 ? authorization.networks : clusterNetworks(settings);
  return {
    ...policyMeta("serverauthorization", meta.name),
    networks: nets.map(network),
    authentication: clientAuthn(settings, client, meta.namespace),
  };
}

function clientAuthn(
  settings: ClusterSettings,
  client: ServerAuthorization["client"],
  own: string,
): AuthnInit {
  switch (client.kind) {
    case "unauthenticated":
      return UNAUTHENTICATED;
    case "tls_unauthenticated":
      return TLS_UNAUTHENTICATED;
    case "identities": {
      const accounts = client.serviceAccounts.map(({ name, namespace = own }) =>
        exact(serviceAccountIdentity(settings, namespace, name)),
      );
      return identityAuthn([...client.identities, ...accounts]);
    }
    default:
      return assertNever(client);
  }
}

/** None if a resource that the policy needs is missing: it then lets nobody in. */
function policyAuthorization(cluster: Cluster, policy: AuthorizationPolicy): readonly AuthzInit[] {
  const own = policy.meta.namespace;
  const { clients, networks } = policy;
  let authentication: AuthnInit = UNAUTHENTICATED;
  if (clients !== undefined) {
    const identities = clientIdentities(cluster, clients, own);
    if (identities === undefined) return [];
    authentication = identityAuthn(identities);
  }
  let nets: readonly Network[] = EVERY_NETWORK.map((net) => ({ net, except: [] }));
  if (networks !== undefined) {
    const found = cluster.networkAuthentication(networks.namespace ?? own, networks.name);
    if (found === undefined) return [];
    nets = found.networks;
  }
  return [
    { ...policyMeta("authorizationpolicy", policy.meta.name), networks: nets.map(network), authentication },
  ];
}

function clientIdentities(
  cluster: Cluster,
  ref: NonNullable<AuthorizationPolicy["clients"]>,
  own: string,
): readonly IdentityMatch[] | undefined {
  const { settings } = cluster;
  const namespace = ref.namespace ?? own;
  if (ref.kind === "ServiceAccount") return [exact(serviceAccountIdentity(settings, namespace, ref.name))];
  const authentication = cluster.meshTlsAuthentication(namespace, ref.name);
  if (authentication === undefined) return undefined;
  return [
    ...authentication.identities,
    ...authentication.refs.map((target): IdentityMatch => {
      if (target.kind === "Namespace")
        return { kind: "suffix", labels: namespaceIdentity(settings, target.name) };
      const accountNamespace = target.namespace ?? authentication.meta.namespace;
      return exact(serviceAccountIdentity(settings, accountNamespace, target.name));
    }),
  ];
}

const UNAUTHENTICATED: AuthnInit = { permit: { case: "unauthenticated", value: {} } };
const TLS_UNAUTHENTICATED: AuthnInit = {
  permit: { case: "meshTLS", value: { clients: { case: "unauthenticated", value: {} } } },
};

function identityAuthn(matches: readonly IdentityMatch[]): AuthnInit {
  const identities = matches.flatMap((m) => (m.kind === "exact" ? [{ name: m.identity }] : []));
  const suffixes = matches.flatMap((m) => (m.kind === "suffix" ? [{ parts: [...m.labels] }] : []));
  return {
    permit: {
      case: "meshTLS",
      value: { clients: { case: "identities", value: { identities, suffixes } } },
    },
  };
}

function exact(identity: string): IdentityMatch {
  return { kind: "exact", identity };
}

function network(value: Network): MessageInitShape<typeof NetworkSchema> {
  return { net: ipNetwork(value.net), except: value.except.map(ipNetwork) };
}

function clusterNetworks(settings: ClusterSettings): readonly Network[] {
  return settings.clusterNetworks.map((net) => ({ net, except: [] }));
}

const POLICY_GROUP = "policy.linkerd.io";

/** Kinds are in lower case and without a namespace, as proxies show them in metrics. */
function policyMeta(kind: string, name: string): Pick<AuthzInit, "labels" | "metadata"> {
  return {
    labels: { group: POLICY_GROUP, kind, name },
    metadata: resourceMeta({ group: POLICY_GROUP, kind, name }),
  };
}
