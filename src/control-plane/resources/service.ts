import type { Ip } from "../../addr/ip.ts";
import { parsePortRanges, type PortRanges } from "../../addr/port-ranges.ts";
import {
  failureAccrual,
  loadPenalty,
  type FailureAccrual,
  type LoadPenalty,
} from "./balancer-annotations.ts";
import { annotation, resource, type Resource } from "./object-meta.ts";
import {
  anything,
  BAD,
  boolean,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  parsedText,
  portNumber,
  portOrName,
  required,
  text,
  textMap,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";
import { report } from "./found.ts";
import { routeAnnotations, type RouteAnnotations } from "./route-annotations.ts";
import { ip } from "./words.ts";

/** A core Service: a name, perhaps an address, and which workloads stand behind it. */
export interface Service extends Resource {
  readonly kind: "Service";
  /** Where clients connect to; empty for headless services and where nobody has assigned one. */
  readonly clusterIps: readonly Ip[];
  readonly headless: boolean;
  readonly external: boolean;
  readonly ports: readonly ServicePort[];
  /** Undefined: endpoints come from EndpointSlices alone. */
  readonly selector: ReadonlyMap<string, string> | undefined;
  readonly localTrafficOnly: boolean;
  readonly publishNotReady: boolean;
  /** Ports that are not to be interpreted; undefined takes the defaults. */
  readonly opaquePorts: PortRanges | undefined;
  readonly failureAccrual: FailureAccrual | undefined;
  readonly loadPenalty: LoadPenalty | undefined;
  /** For routes that do not say it themselves. */
  readonly routeDefaults: RouteAnnotations;
}

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number | string;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly appProtocol: string | undefined;
}

const servicePort: Reader<ServicePort> = refine(
  object({
    name: withDefault(text, ""),
    port: required(portNumber),
    targetPort: optional(portOrName),
    protocol: withDefault(oneOf("TCP", "UDP", "SCTP"), "TCP"),
    appProtocol: optional(text),
    nodePort: optional(integer(0, 65535)),
  }),
  (value) => ({
    name: value.name,
    port: value.port,
    targetPort: value.targetPort ?? value.port,
    protocol: value.protocol,
    appProtocol: value.appProtocol,
  }),
);

const clusterIp: Reader<Ip | "None" | ""> = (value) => {
  const word = text(value);
  if (word === BAD || word === "None" || word === "") return word;
  return ip(value);
};

const NO_PORTS: readonly ServicePort[] = [];

const serviceSpec = object({
  type: withDefault(oneOf("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"), "ClusterIP"),
  clusterIP: optional(clusterIp),
  clusterIPs: withDefault(listOf(clusterIp, { max: 2 }), []),
  ports: withDefault(
    refine(listOf(servicePort), (ports, at) => {
      let good = true;
      for (const [index, port] of ports.entries()) {
        const item = { ...at, path: `${at.path}[${index}]` };
        if (ports.length > 1 && port.name === "") {
          report(item, "found a port without a name, expected names when a service has several ports");
          good = false;
        }
        const earlier = ports.slice(0, index);
        if (port.name !== "" && earlier.some((other) => other.name === port.name)) {
          report(item, `found a second port named "${port.name}", expected names that differ`);
          good = false;
        }
        if (earlier.some((other) => other.port === port.port && other.protocol === port.protocol)) {
          report(item, `found port ${port.port} twice, expected ports that differ`);
          good = false;
        }
      }
      return good ? ports : BAD;
    }),
    NO_PORTS,
  ),
  selector: optional(textMap),
  internalTrafficPolicy: withDefault(oneOf("Cluster", "Local"), "Cluster"),
  publishNotReadyAddresses: withDefault(boolean, false),
  externalName: optional(text),
  externalTrafficPolicy: optional(anything),
  externalIPs: optional(anything),
  sessionAffinity: optional(anything),
  sessionAffinityConfig: optional(anything),
  ipFamilies: optional(anything),
  ipFamilyPolicy: optional(anything),
  loadBalancerIP: optional(anything),
  loadBalancerClass: optional(anything),
  loadBalancerSourceRanges: optional(anything),
  allocateLoadBalancerNodePorts: optional(anything),
  healthCheckNodePort: optional(anything),
  trafficDistribution: optional(anything),
});

/** `25,587,3306-3310`: the value of `config.linkerd.io/opaque-ports`. */
export const portRanges = parsedText('ports such as "25,3306,8000-8010"', parsePortRanges);

export const OPAQUE_PORTS_ANNOTATION = "config.linkerd.io/opaque-ports";

/** Core v1 Service. Sources: Kubernetes API reference; linkerd2, policy-controller/k8s/index/src/outbound/index.rs (annotations). */
export const readService: Reader<Service> = resource(
  { spec: required(serviceSpec) },
  (base, { spec }, document) => {
    const opaquePorts = annotation(document, OPAQUE_PORTS_ANNOTATION, portRanges);
    const accrual = failureAccrual(document);
    const penalty = loadPenalty(document);
    const routeDefaults = routeAnnotations(document);
    if (opaquePorts === BAD || accrual === BAD || penalty === BAD || routeDefaults === BAD) return BAD;
    const written = new Map<string, Ip>();
    for (const address of [spec.clusterIP, ...spec.clusterIPs]) {
      if (typeof address === "object") written.set(address.text, address);
    }
    const headless = spec.clusterIP === "None" || spec.clusterIPs.includes("None");
    const selector = spec.selector === undefined || spec.selector.size === 0 ? undefined : spec.selector;
    return {
      ...base,
      kind: "Service",
      clusterIps: [...written.values()],
      headless,
      external: spec.type === "ExternalName",
      ports: spec.ports,
      selector,
      localTrafficOnly: spec.internalTrafficPolicy === "Local",
      publishNotReady: spec.publishNotReadyAddresses,
      opaquePorts,
      failureAccrual: accrual,
      loadPenalty: penalty,
      routeDefaults,
    };
  },
);
