import type { PortRanges } from "../../addr/port-ranges.ts";
import type { Network } from "../../policy/server-policy.ts";
import { failureAccrual, type FailureAccrual } from "./balancer-annotations.ts";
import { networks } from "./networks.ts";
import { annotation, resource, type Resource } from "./object-meta.ts";
import { BAD, object, oneOf, optional, required, type Reader } from "./reader.ts";
import { routeAnnotations, type RouteAnnotations } from "./route-annotations.ts";
import { OPAQUE_PORTS_ANNOTATION, portRanges } from "./service.ts";

/** Addresses outside the cluster, and whether one may go there without a route that says so. */
export interface EgressNetwork extends Resource {
  readonly kind: "EgressNetwork";
  /** Undefined: everything outside the cluster. */
  readonly networks: readonly Network[] | undefined;
  readonly trafficPolicy: "Allow" | "Deny";
  /** Ports that are not to be interpreted; undefined takes the defaults. */
  readonly opaquePorts: PortRanges | undefined;
  readonly failureAccrual: FailureAccrual | undefined;
  /** For routes that do not say it themselves. */
  readonly routeDefaults: RouteAnnotations;
}

const spec = object({ networks: optional(networks), trafficPolicy: required(oneOf("Allow", "Deny")) });

/** policy.linkerd.io EgressNetwork. Source: linkerd2, policy-controller/k8s/index/src/outbound/index.rs. */
export const readEgressNetwork: Reader<EgressNetwork> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    const opaquePorts = annotation(document, OPAQUE_PORTS_ANNOTATION, portRanges);
    const accrual = failureAccrual(document);
    const routeDefaults = routeAnnotations(document);
    if (opaquePorts === BAD || accrual === BAD || routeDefaults === BAD) return BAD;
    return { ...base, kind: "EgressNetwork", ...spec, opaquePorts, failureAccrual: accrual, routeDefaults };
  },
);
