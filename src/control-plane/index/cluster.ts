import { portRangesContain } from "../../addr/port-ranges.ts";
import type { AddressGroup } from "../resources/endpoint-slice.ts";
import type { ExternalWorkload, InboundAnnotations } from "../resources/external-workload.ts";
import type { EgressNetwork } from "../resources/egress-network.ts";
import { hasLabels, selects } from "../resources/label-selector.ts";
import type { MeshTlsAuthentication } from "../resources/mesh-tls-authentication.ts";
import type { NetworkAuthentication } from "../resources/network-authentication.ts";
import type { AuthorizationPolicy } from "../resources/authorization-policy.ts";
import { inForceFirst, portsOf } from "../resources/port-claims.ts";
import type { RateLimitPolicy } from "../resources/rate-limit-policy.ts";
import type { ResourceSet } from "../resources/resource-set.ts";
import type { ServerAuthorization } from "../resources/server-authorization.ts";
import type { Server } from "../resources/server.ts";
import type { ServiceProfile } from "../resources/service-profile.ts";
import type { Service } from "../resources/service.ts";
import { overlapsCluster } from "./egress-networks.ts";
import { RouteIndex, type RouteTarget } from "./route-index.ts";
import type { ClusterSettings } from "./settings.ts";

/**
 * One state of the resources, arranged for the questions of the API. Immutable: a change of the manifests makes a new
 * one. Lists are oldest first.
 */
export class Cluster {
  readonly settings: ClusterSettings;
  readonly #services: ReadonlyMap<string, Service>;
  readonly #servicesByIp: ReadonlyMap<string, Service>;
  readonly #workloads: ReadonlyMap<string, ExternalWorkload>;
  readonly #workloadsByNamespace: ReadonlyMap<string, readonly ExternalWorkload[]>;
  readonly #workloadsByIp: ReadonlyMap<string, readonly ExternalWorkload[]>;
  readonly #addresses: ReadonlyMap<string, readonly AddressGroup[]>;
  readonly #servers: ReadonlyMap<string, readonly Server[]>;
  readonly #egressNetworks: ReadonlyMap<string, EgressNetwork>;
  readonly #profiles: ReadonlyMap<string, ServiceProfile>;
  /** Routes by what they are attached to. */
  readonly routes: RouteIndex;
  /** All EgressNetworks. */
  readonly egressNetworks: readonly EgressNetwork[];
  readonly #policies: ReadonlyMap<string, readonly AuthorizationPolicy[]>;
  readonly #serverAuthorizations: ReadonlyMap<string, readonly ServerAuthorization[]>;
  readonly #meshTls: ReadonlyMap<string, MeshTlsAuthentication>;
  readonly #networks: ReadonlyMap<string, NetworkAuthentication>;
  readonly #rateLimits: ReadonlyMap<string, readonly RateLimitPolicy[]>;
  readonly #namespaces: ReadonlyMap<string, InboundAnnotations>;

  constructor(resources: ResourceSet, settings: ClusterSettings) {
    this.settings = settings;
    const services = resources.ofKind("Service");
    const workloads = resources.ofKind("ExternalWorkload");
    this.#services = byName(services);
    this.#servicesByIp = new Map(services.flatMap((s) => s.clusterIps.map((ip) => [ip.text, s] as const)));
    this.#workloads = byName(workloads);
    this.#workloadsByNamespace = grouped(workloads, (w) => [w.meta.namespace]);
    this.#workloadsByIp = grouped(workloads, (w) => w.ips.map((ip) => ip.text));
    this.#addresses = addressesByService(resources);
    this.#servers = grouped(resources.ofKind("Server"), (server) => [server.meta.namespace]);
    this.egressNetworks = resources.ofKind("EgressNetwork");
    this.#egressNetworks = byName(this.egressNetworks);
    this.#profiles = byName(resources.ofKind("ServiceProfile"));
    this.routes = new RouteIndex(resources, (target) => this.#takesRoutes(target));
    this.#policies = grouped(resources.ofKind("AuthorizationPolicy"), (policy) => [policy.meta.namespace]);
    this.#serverAuthorizations = grouped(resources.ofKind("ServerAuthorization"), (a) => [a.meta.namespace]);
    this.#meshTls = byName(resources.ofKind("MeshTLSAuthentication"));
    this.#networks = byName(resources.ofKind("NetworkAuthentication"));
    const limits = resources.ofKind("HTTPLocalRateLimitPolicy").toSorted(inForceFirst);
    this.#rateLimits = grouped(limits, (r) => [nameKey(r.meta.namespace, r.server)]);
    this.#namespaces = new Map(resources.ofKind("Namespace").map((n) => [n.meta.name, n.inbound]));
  }

  service(namespace: string, name: string): Service | undefined {
    return this.#services.get(nameKey(namespace, name));
  }

  serviceWithIp(ip: string): Service | undefined {
    return this.#servicesByIp.get(ip);
  }

  workload(namespace: string, name: string): ExternalWorkload | undefined {
    return this.#workloads.get(nameKey(namespace, name));
  }

  workloadsIn(namespace: string): readonly ExternalWorkload[] {
    return this.#workloadsByNamespace.get(namespace) ?? [];
  }

  /** Those that have the address and list the port, ready or not. More than one is ambiguous. */
  workloadsAt(ip: string, port: number): readonly ExternalWorkload[] {
    return (this.#workloadsByIp.get(ip) ?? []).filter((w) => w.ports.some((p) => p.port === port));
  }

  /** What the service's selector chooses, ready or not. */
  workloadsBehind(service: Service): readonly ExternalWorkload[] {
    const { selector } = service;
    if (selector === undefined) return [];
    return this.workloadsIn(service.meta.namespace).filter((w) => hasLabels(selector, w.meta.labels));
  }

  /** What its EndpointSlices list, or else its Endpoints. */
  addressesOf(service: Service): readonly AddressGroup[] {
    return this.#addresses.get(nameKey(service.meta.namespace, service.meta.name)) ?? [];
  }

  /** The Server that speaks for a port: the oldest of those that select it. */
  serverFor(workload: ExternalWorkload, port: number): Server | undefined {
    return (this.#servers.get(workload.meta.namespace) ?? []).find(
      (server) =>
        server.selects.kind === "external_workloads" &&
        selects(server.selects.selector, workload.meta.labels) &&
        portsOf(server, workload).includes(port),
    );
  }

  egressNetwork(namespace: string, name: string): EgressNetwork | undefined {
    return this.#egressNetworks.get(nameKey(namespace, name));
  }

  /** The profile of a service's DNS name in one namespace: the service's own, or that of a client. */
  serviceProfile(namespace: string, serviceName: string): ServiceProfile | undefined {
    return this.#profiles.get(nameKey(namespace, serviceName));
  }

  /** Headless services and networks that reach into the cluster take none. Source: linkerd2, policy-controller/k8s/status/src/index.rs. */
  #takesRoutes({ kind, namespace, name }: RouteTarget): boolean {
    if (kind === "EgressNetwork") {
      const network = this.egressNetwork(namespace, name);
      return network !== undefined && !overlapsCluster(network, this.settings);
    }
    const service = this.service(namespace, name);
    return service !== undefined && !service.headless && !service.external;
  }

  policiesIn(namespace: string): readonly AuthorizationPolicy[] {
    return this.#policies.get(namespace) ?? [];
  }

  serverAuthorizationsIn(namespace: string): readonly ServerAuthorization[] {
    return this.#serverAuthorizations.get(namespace) ?? [];
  }

  meshTlsAuthentication(namespace: string, name: string): MeshTlsAuthentication | undefined {
    return this.#meshTls.get(nameKey(namespace, name));
  }

  networkAuthentication(namespace: string, name: string): NetworkAuthentication | undefined {
    return this.#networks.get(nameKey(namespace, name));
  }

  rateLimitOf(server: Server): RateLimitPolicy | undefined {
    return this.#rateLimits.get(nameKey(server.meta.namespace, server.meta.name))?.[0];
  }

  /** A workload's own annotations, each falling back to that of its namespace. */
  inboundOf(workload: ExternalWorkload): InboundAnnotations {
    const own = workload.inbound;
    const ofNamespace = this.#namespaces.get(workload.meta.namespace);
    return {
      defaultPolicy: own.defaultPolicy ?? ofNamespace?.defaultPolicy,
      opaquePorts: own.opaquePorts ?? ofNamespace?.opaquePorts,
      requireIdentityPorts: own.requireIdentityPorts ?? ofNamespace?.requireIdentityPorts,
    };
  }

  /** Whether bytes of this port of a workload are not to be interpreted: what its Server says, else annotation or default list. */
  isOpaque(workload: ExternalWorkload, port: number): boolean {
    const server = this.serverFor(workload, port);
    if (server !== undefined) return server.protocol === "opaque";
    return portRangesContain(this.inboundOf(workload).opaquePorts ?? this.settings.defaultOpaquePorts, port);
  }
}

function addressesByService(resources: ResourceSet): ReadonlyMap<string, readonly AddressGroup[]> {
  const slices = grouped(resources.ofKind("EndpointSlice"), (slice) =>
    slice.service === undefined || slice.names ? [] : [nameKey(slice.meta.namespace, slice.service)],
  );
  const endpoints = resources.ofKind("Endpoints");
  return new Map<string, readonly AddressGroup[]>([
    ...endpoints.map(({ meta, groups }) => [nameKey(meta.namespace, meta.name), groups] as const),
    ...slices,
  ]);
}

function nameKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

interface Named {
  readonly meta: { readonly namespace: string; readonly name: string };
}

function byName<R extends Named>(resources: readonly R[]): ReadonlyMap<string, R> {
  return new Map(
    resources.map((resource) => [nameKey(resource.meta.namespace, resource.meta.name), resource]),
  );
}

function grouped<R>(
  resources: readonly R[],
  keysOf: (resource: R) => readonly string[],
): ReadonlyMap<string, readonly R[]> {
  const groups = new Map<string, R[]>();
  for (const resource of resources) {
    for (const key of new Set(keysOf(resource))) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [resource]);
      else group.push(resource);
    }
  }
  return groups;
}
