import type { Origin } from "./problem.ts";
import { childOf, originOf, report, reportMismatch, type Found } from "./found.ts";
import { resource, type Resource } from "./object-meta.ts";
import { BAD, listOf, object, optional, required, text, refine, withDefault, type Reader } from "./reader.ts";
import { labelName, resourceName } from "./words.ts";

/** Who may use a server, a route, or everything in a namespace. */
export interface AuthorizationPolicy extends Resource {
  readonly kind: "AuthorizationPolicy";
  readonly target: PolicyTarget;
  /** All of them must hold; at most one names clients, at most one names networks. */
  readonly clients: AuthenticationRef<"MeshTLSAuthentication" | "ServiceAccount"> | undefined;
  readonly networks: AuthenticationRef<"NetworkAuthentication"> | undefined;
}

/** In the policy's own namespace. */
export type PolicyTarget =
  | { readonly kind: "Namespace" }
  | { readonly kind: "Server"; readonly name: string }
  | { readonly kind: "HTTPRoute" | "GRPCRoute"; readonly group: string; readonly name: string };

export interface AuthenticationRef<Kind extends string> {
  readonly kind: Kind;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly origin: Origin;
}

const POLICY_GROUP = "policy.linkerd.io";
const GATEWAY_GROUP = "gateway.networking.k8s.io";

const targetRef: Reader<PolicyTarget> = refine(
  object({ group: withDefault(text, ""), kind: required(text), name: required(resourceName) }),
  ({ group, kind, name }, at) => {
    if (group === POLICY_GROUP && kind === "Server") return { kind, name };
    if (isCore(group) && kind === "Namespace") return { kind };
    if (kind === "HTTPRoute" && (group === POLICY_GROUP || group === GATEWAY_GROUP))
      return { kind, group, name };
    if (kind === "GRPCRoute" && group === GATEWAY_GROUP) return { kind, group, name };
    report(
      at,
      `found ${kind} of group "${group}", expected Server (${POLICY_GROUP}), HTTPRoute (${POLICY_GROUP} or ${GATEWAY_GROUP}), GRPCRoute (${GATEWAY_GROUP}) or Namespace`,
    );
    return BAD;
  },
);

type AnyRef = AuthenticationRef<"MeshTLSAuthentication" | "ServiceAccount" | "NetworkAuthentication">;

const authenticationRef: Reader<AnyRef> = refine(
  object({
    group: withDefault(text, ""),
    kind: required(text),
    name: required(resourceName),
    namespace: optional(labelName),
  }),
  ({ group, kind, name, namespace }, at) => {
    const rest = { name, namespace, origin: originOf(at) };
    if (group === POLICY_GROUP && kind === "MeshTLSAuthentication") return { kind, ...rest };
    if (group === POLICY_GROUP && kind === "NetworkAuthentication") return { kind, ...rest };
    if (isCore(group) && kind === "ServiceAccount") return { kind, ...rest };
    report(
      at,
      `found ${kind} of group "${group}", expected MeshTLSAuthentication or NetworkAuthentication (${POLICY_GROUP}) or ServiceAccount`,
    );
    return BAD;
  },
);

const spec = object({
  targetRef: required(targetRef),
  requiredAuthenticationRefs: required(listOf(authenticationRef)),
});

/** policy.linkerd.io AuthorizationPolicy. Source: linkerd2, policy-controller/k8s/index/src/inbound/authorization_policy.rs. */
export const readAuthorizationPolicy: Reader<AuthorizationPolicy> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    const specAt = childOf(document, "spec") ?? document;
    if (!namespaceIsOwn(spec.targetRef, base.meta.namespace, childOf(specAt, "targetRef"))) return BAD;
    const refs = spec.requiredAuthenticationRefs;
    const clients = refs.filter((ref) => isClientRef(ref));
    const networks = refs.filter((ref) => isNetworkRef(ref));
    const at = childOf(specAt, "requiredAuthenticationRefs") ?? specAt;
    if (clients.length > 1) {
      report(
        at,
        `found ${clients.length} references to clients, expected one MeshTLSAuthentication or ServiceAccount`,
      );
    }
    if (networks.length > 1) report(at, `found ${networks.length} NetworkAuthentications, expected one`);
    if (clients.length > 1 || networks.length > 1) return BAD;
    return {
      ...base,
      kind: "AuthorizationPolicy",
      target: spec.targetRef,
      clients: clients[0],
      networks: networks[0],
    };
  },
);

/** A policy can speak for its own namespace only. The name is read again from the document, since the target does not keep it. */
function namespaceIsOwn(target: PolicyTarget, own: string, at: Found | undefined): boolean {
  if (target.kind !== "Namespace" || at === undefined) return true;
  const name = childOf(at, "name");
  if (name === undefined || text(name) === own) return true;
  reportMismatch(name, `the policy's own namespace "${own}"`);
  return false;
}

function isClientRef(ref: AnyRef): ref is NonNullable<AuthorizationPolicy["clients"]> {
  return ref.kind !== "NetworkAuthentication";
}

function isNetworkRef(ref: AnyRef): ref is NonNullable<AuthorizationPolicy["networks"]> {
  return ref.kind === "NetworkAuthentication";
}

function isCore(group: string): boolean {
  return group === "" || group === "core";
}
