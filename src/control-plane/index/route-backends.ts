import { assertNever } from "../../parsed.ts";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import type { BackendRef } from "../resources/backend-ref.ts";
import type { LoadPenalty } from "../resources/balancer-annotations.ts";
import type { RouteAnnotations } from "../resources/route-annotations.ts";
import { egressBackend, failingBackend, serviceBackend, type BackendInit } from "./backends.ts";
import type { Cluster } from "./cluster.ts";
import { defaultMeta, egressMeta, serviceMeta } from "./messages.ts";

/** What a policy is for, and what its routes get from there. */
export type RouteParent = {
  readonly namespace: string;
  readonly name: string;
  /** Where rules without backends send to. */
  readonly backend: BackendInit;
  readonly defaults: RouteAnnotations;
  /** Of the balancers of requests; connections have no responses that could count as failures. */
  readonly loadPenalty: LoadPenalty | undefined;
} & (
  | { readonly kind: "Service" }
  | {
      readonly kind: "EgressNetwork";
      readonly trafficPolicy: "Allow" | "Deny";
      /** Where the client meant to connect, and will. */
      readonly dst: SocketAddr;
    }
);

/** The four kinds of route spell their distributions alike, each with its own filter. */
export interface DistributionInit<F> {
  kind:
    | { case: "firstAvailable"; value: { backends: { backend: BackendInit }[] } }
    | {
        case: "randomAvailable";
        value: { backends: { weight: number; backend: { backend: BackendInit; filters: F[] } }[] };
      };
}

/** How one kind of route spells filters. */
export interface FilterForms<R, F> {
  readonly convert: (filter: R) => F;
  /** Fails whatever comes to a backend that cannot be used. */
  readonly fail: (message: string) => F;
}

/**
 * The backends of a rule by weight; those that cannot be used keep their share and fail it.
 *
 * Source: linkerd2, policy-controller/grpc/src/outbound/{http,grpc,tls,tcp}.rs (`convert_backend`).
 */
export function distribution<R, F>(
  cluster: Cluster,
  parent: RouteParent,
  refs: readonly BackendRef<R>[],
  forms: FilterForms<R, F>,
): DistributionInit<F> {
  if (refs.length === 0) return onlyBackend(parent.backend);
  const backends = refs.map((ref) => {
    const { backend, failure } = resolve(cluster, parent, ref);
    const own = ref.kind === "invalid" ? [] : ref.filters.map(forms.convert);
    const filters = failure === undefined ? own : [forms.fail(failure)];
    return { weight: ref.weight, backend: { backend, filters } };
  });
  return { kind: { case: "randomAvailable", value: { backends } } };
}

/** The same shape for every kind of route; no filter is ever in it. */
export function onlyBackend(backend: BackendInit): DistributionInit<never> {
  return { kind: { case: "firstAvailable", value: { backends: [{ backend }] } } };
}

interface Resolved {
  readonly backend: BackendInit;
  /** Why the backend cannot be used. */
  readonly failure: string | undefined;
}

/** A reference without a namespace means the parent's, as the controller has it, not the route's. */
function resolve(cluster: Cluster, parent: RouteParent, ref: BackendRef<unknown>): Resolved {
  if (ref.kind === "invalid")
    return { backend: failingBackend(defaultMeta("invalid")), failure: ref.message };
  const { name, namespace = parent.namespace } = ref;
  switch (ref.kind) {
    case "Service": {
      const { port } = ref;
      if (cluster.service(namespace, name) === undefined) {
        const backend = failingBackend(serviceMeta(namespace, name, port));
        return { backend, failure: `Service not found ${name}` };
      }
      const backend = serviceBackend(cluster, namespace, name, port, parent.loadPenalty);
      return { backend, failure: undefined };
    }
    case "EgressNetwork": {
      const failure = egressFailure(cluster, parent, namespace, name);
      if (parent.kind === "Service" || failure !== undefined) {
        const port = ref.port ?? (parent.kind === "Service" ? 0 : parent.dst.port);
        return { backend: failingBackend(egressMeta(namespace, name, port)), failure };
      }
      const backend = egressBackend(namespace, name, ref.port ?? parent.dst.port, parent.dst, ref.weight);
      return { backend, failure: undefined };
    }
    default:
      return assertNever(ref);
  }
}

/** Only the network through which a connection came knows where it goes. */
function egressFailure(
  cluster: Cluster,
  parent: RouteParent,
  namespace: string,
  name: string,
): string | undefined {
  if (cluster.egressNetwork(namespace, name) === undefined) return `EgressNetwork not found ${name}`;
  if (parent.kind === "Service") return "EgressNetwork backends attach to EgressNetwork parents only";
  return parent.name === name && parent.namespace === namespace
    ? undefined
    : "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent";
}
