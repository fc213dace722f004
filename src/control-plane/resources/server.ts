import { childOf, report } from "./found.ts";
import { INBOUND_POLICIES, type InboundPolicy } from "./inbound-policy-mode.ts";
import { labelSelector, type LabelSelector } from "./label-selector.ts";
import { resource, type Resource } from "./object-meta.ts";
import { BAD, object, oneOf, optional, portOrName, required, withDefault, type Reader } from "./reader.ts";

/** A port of some workloads, with the protocol spoken there. */
export interface Server extends Resource {
  readonly kind: "Server";
  readonly selects: { readonly kind: "pods" | "external_workloads"; readonly selector: LabelSelector };
  readonly port: number | string;
  readonly protocol: ServerProtocol;
  /** Who is let in beyond the authorizations that name this server. */
  readonly accessPolicy: InboundPolicy;
}

export const SERVER_PROTOCOLS = ["unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"] as const;
export type ServerProtocol = (typeof SERVER_PROTOCOLS)[number];

const spec = object({
  podSelector: optional(labelSelector),
  externalWorkloadSelector: optional(labelSelector),
  port: required(portOrName),
  proxyProtocol: withDefault(oneOf(...SERVER_PROTOCOLS), "unknown"),
  accessPolicy: withDefault(oneOf(...INBOUND_POLICIES), "deny"),
});

/** policy.linkerd.io Server. Source: linkerd2, charts/linkerd-crds/templates/policy/server.yaml. */
export const readServer: Reader<Server> = resource({ spec: required(spec) }, (base, { spec }, document) => {
  const { podSelector: pods, externalWorkloadSelector: workloads } = spec;
  const rest = { port: spec.port, protocol: spec.proxyProtocol, accessPolicy: spec.accessPolicy };
  if (pods !== undefined && workloads === undefined) {
    return { ...base, kind: "Server", selects: { kind: "pods", selector: pods }, ...rest };
  }
  if (workloads !== undefined && pods === undefined) {
    return { ...base, kind: "Server", selects: { kind: "external_workloads", selector: workloads }, ...rest };
  }
  const count = pods === undefined ? "neither" : "both";
  report(
    childOf(document, "spec") ?? document,
    `found ${count} podSelector and externalWorkloadSelector, expected exactly one of them`,
  );
  return BAD;
});
