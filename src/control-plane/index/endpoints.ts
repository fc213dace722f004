import { create } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Ip } from "../../addr/ip.ts";
import { withoutTrailingDot } from "../../addr/dns-name.ts";
import { formatSocketAddr } from "../../addr/socket-addr.ts";
import { WeightedAddrSchema, type WeightedAddr } from "../../proto/gen/destination_pb.js";
import type { AddressGroup, SliceEndpoint } from "../resources/endpoint-slice.ts";
import type { ExternalWorkload } from "../resources/external-workload.ts";
import type { Mirror } from "../resources/mirror.ts";
import type { Service } from "../resources/service.ts";
import type { Cluster } from "./cluster.ts";
import { duration, tcpAddress } from "./messages.ts";

type WeightedAddrInit = MessageInitShape<typeof WeightedAddrSchema>;

/** What the controllers send for every endpoint; balancing does not look at it. */
const WEIGHT = 10_000;

/** A proxy's inbound port, where the workload has no port named so. */
const DEFAULT_INBOUND_PORT = 4143;
const INBOUND_PORT_NAME = "linkerd-proxy";

const ZONE_LABEL = "topology.kubernetes.io/zone";

/** Which endpoints are asked for. */
export interface EndpointQuery {
  readonly port: number;
  /** Only the endpoint with this host name. */
  readonly instance: string | undefined;
  readonly nodeName: string;
}

/** The endpoints behind one port of a service, by `ip:port`. Source: linkerd2, controller/api/destination/watcher/endpoints_watcher.go. */
export function endpointsOf(
  cluster: Cluster,
  service: Service,
  query: EndpointQuery,
): ReadonlyMap<string, WeightedAddr> {
  const endpoints = new Map<string, WeightedAddr>();
  const add = (ip: Ip, port: number, endpoint: Omit<EndpointAt, "ip" | "port">): void => {
    endpoints.set(
      formatSocketAddr({ ip, port }),
      weightedAddr(cluster, { ip, port, ...endpoint }, new Map([["zone_locality", "unknown"]])),
    );
  };
  const declared = service.ports.find((p) => p.port === query.port);
  for (const group of cluster.addressesOf(service)) {
    const port = groupPort(group, declared?.name, query.port);
    if (port === undefined) continue;
    for (const endpoint of group.endpoints) {
      if (!isChosen(service, endpoint, query)) continue;
      const { target } = endpoint;
      const workload =
        target?.kind === "ExternalWorkload" ? cluster.workload(target.namespace, target.name) : undefined;
      const pod = target?.kind === "Pod" ? target.name : undefined;
      // Only an address that nobody stands behind here can be a gateway to somewhere else.
      const { mirror } = group;
      const isGateway = target === undefined && mirror !== undefined;
      const gateway = isGateway ? { mirror, servicePort: query.port } : undefined;
      for (const ip of endpoint.addresses) add(ip, port, { workload, pod, zone: endpoint.zone, gateway });
    }
  }
  // A workload has no node, so it is never local to one.
  if (service.localTrafficOnly) return endpoints;
  for (const workload of cluster.workloadsBehind(service)) {
    if (!workload.ready && !service.publishNotReady) continue;
    if (query.instance !== undefined && workload.meta.name !== query.instance) continue;
    const port = workloadPort(workload, declared?.targetPort ?? query.port);
    if (port === undefined) continue;
    for (const ip of workload.ips) add(ip, port, { workload, pod: undefined, zone: undefined });
  }
  return endpoints;
}

function isChosen(service: Service, endpoint: SliceEndpoint, query: EndpointQuery): boolean {
  if (!endpoint.ready && !service.publishNotReady) return false;
  if (query.instance !== undefined && endpoint.hostname !== query.instance) return false;
  return !service.localTrafficOnly || (query.nodeName !== "" && endpoint.nodeName === query.nodeName);
}

/** A group's port by the name of the service's port; a port that the service does not define is taken as it is. */
function groupPort(group: AddressGroup, name: string | undefined, asked: number): number | undefined {
  if (name === undefined) return asked;
  return group.ports.find((p) => p.name === name)?.port;
}

/** A target port counts only if the workload lists it. */
function workloadPort(workload: ExternalWorkload, target: number | string): number | undefined {
  return workload.ports.find((p) => (typeof target === "string" ? p.name === target : p.port === target))
    ?.port;
}

/** An address and what is known about who listens there. */
export interface EndpointAt {
  readonly ip: Ip;
  readonly port: number;
  readonly workload: ExternalWorkload | undefined;
  readonly pod: string | undefined;
  readonly zone: string | undefined;
  /** The gateway of another cluster, and the port of the service that is asked for through it. */
  readonly gateway?: { readonly mirror: Mirror; readonly servicePort: number } | undefined;
}

/**
 * The message for one endpoint. Workloads get identity, protocol hint and, always, their proxy's inbound port: peers then
 * need no interception on the workload's machine.
 *
 * @param extra labels of the answer it is part of.
 *
 * Source: linkerd2, controller/api/destination/endpoint_translator.go.
 */
export function weightedAddr(
  cluster: Cluster,
  at: EndpointAt,
  extra: ReadonlyMap<string, string>,
): WeightedAddr {
  const { workload, gateway } = at;
  const labels: Record<string, string> = {};
  if (workload !== undefined) {
    labels["external_workload"] = workload.meta.name;
    const { owner } = workload.meta;
    if (owner !== undefined) labels[ownerLabel(owner.kind)] = owner.name;
    labels["zone"] = at.zone ?? workload.meta.labels.get(ZONE_LABEL) ?? "";
  } else if (at.pod !== undefined) {
    labels["pod"] = at.pod;
  }
  for (const [name, value] of extra) labels[name] = value;
  const message: WeightedAddrInit = {
    addr: tcpAddress(at.ip, at.port),
    weight: WEIGHT,
    metricLabels: labels,
  };
  if (workload !== undefined) {
    return create(WeightedAddrSchema, { ...message, ...meshed(cluster, workload, at.port) });
  }
  if (gateway === undefined) return create(WeightedAddrSchema, message);
  return create(WeightedAddrSchema, { ...message, ...gatewayTo(gateway.mirror, gateway.servicePort) });
}

/**
 * A gateway is told by the transport header which service is meant. It is itself the proxy that is dialled, so that there
 * is no other inbound port.
 */
function gatewayTo({ service, gatewayIdentity }: Mirror, port: number): GatewayFields {
  return {
    ...(service === undefined
      ? {}
      : { authorityOverride: { authorityOverride: `${withoutTrailingDot(service)}:${port}` } }),
    ...(gatewayIdentity === undefined
      ? {}
      : {
          tlsIdentity: {
            strategy: { case: "dnsLikeIdentity", value: { name: gatewayIdentity.text } },
          } as const,
          protocolHint: { protocol: { case: "h2", value: {} } } as const,
          http2: HTTP2,
        }),
  };
}

type GatewayFields = Partial<
  Pick<WeightedAddrInit, "authorityOverride" | "tlsIdentity" | "protocolHint" | "http2">
>;

/** Source: linkerd2, charts/linkerd-control-plane/values.yaml. */
const HTTP2 = { keepAlive: { interval: duration(10_000), timeout: duration(3000), whileIdle: true } };

function meshed(
  cluster: Cluster,
  workload: ExternalWorkload,
  port: number,
): Pick<WeightedAddrInit, "tlsIdentity" | "protocolHint" | "http2"> {
  const { identity, serverName } = workload;
  const inboundPort = workload.ports.find((p) => p.name === INBOUND_PORT_NAME)?.port ?? DEFAULT_INBOUND_PORT;
  return {
    tlsIdentity: {
      strategy:
        identity.kind === "dns"
          ? { case: "dnsLikeIdentity", value: { name: identity.text } }
          : { case: "uriLikeIdentity", value: { uri: identity.text } },
      serverName: { name: serverName },
    },
    protocolHint: {
      protocol: cluster.isOpaque(workload, port) ? { case: "opaque", value: {} } : { case: "h2", value: {} },
      opaqueTransport: { inboundPort },
    },
    http2: HTTP2,
  };
}

/** Prometheus keeps the label `job` for itself. */
function ownerLabel(kind: string): string {
  const lower = kind.toLowerCase();
  return lower === "job" ? "k8s_job" : lower;
}
