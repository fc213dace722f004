import { parseCidr, type Cidr } from "../../addr/cidr.ts";
import type { PortRanges } from "../../addr/port-ranges.ts";
import type { InboundPolicy } from "../resources/inbound-policy-mode.ts";

/** What holds for the whole mesh and stands in no manifest. */
export interface ClusterSettings {
  /** Last part of identities. */
  readonly trustDomain: string;
  /** Last part of service names. */
  readonly clusterDomain: string;
  readonly controlPlaneNamespace: string;
  /** Where workloads live: addresses outside are egress. */
  readonly clusterNetworks: readonly Cidr[];
  /** EgressNetworks here hold for every namespace that has none of its own. */
  readonly globalEgressNamespace: string;
  /** For ports without a Server, where neither workload nor namespace says otherwise. */
  readonly defaultInboundPolicy: InboundPolicy;
  /** Ports of protocols in which the server speaks first, where no annotation says otherwise. */
  readonly defaultOpaquePorts: PortRanges;
}

/** SMTP, MySQL, Galera, PostgreSQL, Redis, Elasticsearch, memcached. Source: linkerd2, charts/linkerd-control-plane/values.yaml. */
const DEFAULT_OPAQUE_PORTS: PortRanges = [25, 587, 3306, 4444, 5432, 6379, 9300, 11211].map((port) => ({
  low: port,
  high: port,
}));

/** Private networks. Source: linkerd2, charts/linkerd-control-plane/values.yaml. */
export const DEFAULT_CLUSTER_NETWORKS = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8";

export const DEFAULT_SETTINGS: ClusterSettings = {
  trustDomain: "cluster.local",
  clusterDomain: "cluster.local",
  controlPlaneNamespace: "linkerd",
  clusterNetworks: DEFAULT_CLUSTER_NETWORKS.split(",").map((text) => {
    const network = parseCidr(text);
    if (!network.ok) throw new Error(network.problem);
    return network.value;
  }),
  // Source: linkerd2, charts/linkerd-control-plane/values.yaml.
  globalEgressNamespace: "linkerd-egress",
  defaultInboundPolicy: "all-unauthenticated",
  defaultOpaquePorts: DEFAULT_OPAQUE_PORTS,
};

/** `web.shop.serviceaccount.identity.linkerd.cluster.local`. Source: linkerd2, controller/identity/domain.go. */
export function serviceAccountIdentity(settings: ClusterSettings, namespace: string, name: string): string {
  return `${name}.${namespaceIdentity(settings, namespace).join(".")}`;
}

/** What the identities of a namespace end with, as labels. */
export function namespaceIdentity(settings: ClusterSettings, namespace: string): readonly string[] {
  const { controlPlaneNamespace, trustDomain } = settings;
  return [namespace, "serviceaccount", "identity", controlPlaneNamespace, ...trustDomain.split(".")];
}

export function serviceDomain(settings: ClusterSettings, namespace: string, name: string): string {
  return `${name}.${namespace}.svc.${settings.clusterDomain}`;
}
