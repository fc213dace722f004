import type { Ip } from "../../addr/ip.ts";
import { parseDnsName } from "../../addr/dns-name.ts";
import type { PortRanges } from "../../addr/port-ranges.ts";
import { parseId, type Id } from "../../identity/id.ts";
import { childOf, report, type Found } from "./found.ts";
import { INBOUND_POLICIES, type InboundPolicy } from "./inbound-policy-mode.ts";
import { annotation, resource, type Resource } from "./object-meta.ts";
import {
  anything,
  BAD,
  listOf,
  object,
  oneOf,
  optional,
  parsedText,
  portNumber,
  required,
  text,
  refine,
  withDefault,
  type Bad,
  type Reader,
} from "./reader.ts";
import { OPAQUE_PORTS_ANNOTATION, portRanges } from "./service.ts";
import { ip } from "./words.ts";

/** A process with a proxy that is no pod: on a virtual machine, on a laptop. */
export interface ExternalWorkload extends Resource {
  readonly kind: "ExternalWorkload";
  readonly identity: Id;
  /** What peers send as SNI. */
  readonly serverName: string;
  readonly ips: readonly Ip[];
  readonly ports: readonly WorkloadPort[];
  readonly ready: boolean;
  readonly inbound: InboundAnnotations;
}

export interface WorkloadPort {
  readonly name: string;
  readonly port: number;
}

/** What a workload says about its own inbound policy; undefined takes the control plane's default. */
export interface InboundAnnotations {
  readonly defaultPolicy: InboundPolicy | undefined;
  readonly opaquePorts: PortRanges | undefined;
  readonly requireIdentityPorts: PortRanges | undefined;
}

const tls = {
  identity: required(parsedText('a DNS name or a URI such as "spiffe://example.org/web"', parseId)),
  serverName: required(parsedText("a DNS name", parseDnsName)),
};
const meshTls = object(tls);

const workloadPort: Reader<WorkloadPort> = refine(
  object({
    name: withDefault(text, ""),
    port: required(portNumber),
    protocol: withDefault(oneOf("TCP", "UDP", "SCTP"), "TCP"),
  }),
  (value) => ({ name: value.name, port: value.port }),
);

const condition = object({
  type: required(text),
  status: required(oneOf("True", "False", "Unknown")),
  lastProbeTime: optional(anything),
  lastTransitionTime: optional(anything),
  reason: optional(anything),
  message: optional(anything),
});

const NO_PORTS: readonly WorkloadPort[] = [];

const spec = object({
  meshTLS: optional(meshTls),
  /** The spelling of v1alpha1. */
  meshTls: optional(meshTls),
  workloadIPs: withDefault(listOf(object({ ip: required(ip) }), { max: 2 }), []),
  ports: withDefault(listOf(workloadPort), NO_PORTS),
});

/**
 * workload.linkerd.io ExternalWorkload. Without any status it counts as ready: a folder has no controller that could
 * write one.
 *
 * Source: linkerd2, charts/linkerd-crds/templates/workload/external-workload.yaml.
 */
export const readExternalWorkload: Reader<ExternalWorkload> = resource(
  {
    spec: required(spec),
    status: optional(object({ conditions: withDefault(listOf(condition), []) })),
  },
  (base, { spec, status }, document) => {
    const inbound = inboundAnnotations(document);
    const mesh = spec.meshTLS ?? spec.meshTls;
    if (mesh === undefined) {
      const at = childOf(document, "spec") ?? document;
      report({ ...at, path: "spec.meshTLS" }, "found nothing, expected identity and serverName");
    }
    if (mesh === undefined || inbound === BAD) return BAD;
    const readiness = status?.conditions.find((c) => c.type === "Ready");
    return {
      ...base,
      kind: "ExternalWorkload",
      identity: mesh.identity,
      serverName: mesh.serverName,
      ips: spec.workloadIPs.map((item) => item.ip),
      ports: spec.ports,
      ready: readiness === undefined ? status === undefined : readiness.status === "True",
      inbound,
    };
  },
);

/** Reads the annotations with which workloads and namespaces choose their inbound policy. */
export function inboundAnnotations(document: Found): InboundAnnotations | Bad {
  const prefix = "config.linkerd.io";
  const defaultPolicy = annotation(document, `${prefix}/default-inbound-policy`, oneOf(...INBOUND_POLICIES));
  const opaquePorts = annotation(document, OPAQUE_PORTS_ANNOTATION, portRanges);
  const identityPorts = annotation(document, `${prefix}/proxy-require-identity-inbound-ports`, portRanges);
  if (defaultPolicy === BAD || opaquePorts === BAD || identityPorts === BAD) return BAD;
  return { defaultPolicy, opaquePorts, requireIdentityPorts: identityPorts };
}
