import { inboundAnnotations, type InboundAnnotations } from "./external-workload.ts";
import { resource, type Resource } from "./object-meta.ts";
import { anything, BAD, optional, type Reader } from "./reader.ts";

/** A core Namespace: only its annotations matter here, as defaults for its workloads. */
export interface Namespace extends Resource {
  readonly kind: "Namespace";
  readonly inbound: InboundAnnotations;
}

export const readNamespace: Reader<Namespace> = resource(
  { spec: optional(anything) },
  (base, _, document) => {
    const inbound = inboundAnnotations(document);
    return inbound === BAD ? BAD : { ...base, kind: "Namespace", inbound };
  },
);
