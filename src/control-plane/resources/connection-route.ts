import { backendRef, type BackendRef } from "./backend-ref.ts";
import { report } from "./found.ts";
import { resource, type Resource } from "./object-meta.ts";
import { BAD, listOf, object, optional, refine, required, text, withDefault, type Reader } from "./reader.ts";
import { hostnames, parentRefs, type ParentRef } from "./route-parts.ts";

/** Routes that see connections and no requests. Each has one rule, since nothing in a connection could choose between two. */
interface ConnectionRoute extends Resource {
  readonly group: "gateway.networking.k8s.io";
  readonly parents: readonly ParentRef[];
  /** Empty: the parent itself. */
  readonly backends: readonly BackendRef<never>[];
}

export interface TlsRoute extends ConnectionRoute {
  readonly kind: "TLSRoute";
  /** Server names (SNI); empty: any. */
  readonly hostnames: readonly string[];
}

export interface TcpRoute extends ConnectionRoute {
  readonly kind: "TCPRoute";
}

const noFilter: Reader<never> = (at) => {
  report(at, "found a filter, expected none: TLSRoute and TCPRoute know no filters");
  return BAD;
};

const NO_BACKENDS: readonly BackendRef<never>[] = [];

/** The backends of the only rule. Source: linkerd2, policy-controller/runtime/src/admission.rs. */
const onlyRule: Reader<readonly BackendRef<never>[]> = refine(
  listOf(
    object({
      name: optional(text),
      backendRefs: withDefault(listOf(backendRef(noFilter), { max: 16 }), NO_BACKENDS),
    }),
    { min: 1, max: 1 },
  ),
  ([rule]) => rule?.backendRefs ?? NO_BACKENDS,
);

const common = {
  parentRefs: withDefault(parentRefs, []),
  rules: required(onlyRule),
  useDefaultGateways: optional(text),
};
const tlsSpec = object({ ...common, hostnames: withDefault(hostnames, []) });
const tcpSpec = object(common);

const GROUP = "gateway.networking.k8s.io";

/** gateway.networking.k8s.io TLSRoute. Source: linkerd2, policy-controller/k8s/index/src/outbound/index/tls.rs. */
export const readTlsRoute: Reader<TlsRoute> = resource({ spec: required(tlsSpec) }, (base, { spec }) => {
  const { parentRefs: parents, hostnames, rules: backends } = spec;
  return { ...base, kind: "TLSRoute", group: GROUP, parents, hostnames, backends };
});

/** gateway.networking.k8s.io TCPRoute. Source: as above, tcp.rs. */
export const readTcpRoute: Reader<TcpRoute> = resource({ spec: required(tcpSpec) }, (base, { spec }) => {
  const { parentRefs: parents, rules: backends } = spec;
  return { ...base, kind: "TCPRoute", group: GROUP, parents, backends };
});
