import { childOf, report } from "./found.ts";
import { identities, type IdentityMatch } from "./identities.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  BAD,
  listOf,
  object,
  oneOf,
  optional,
  required,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";
import { labelName, resourceName } from "./words.ts";

/** A set of clients that prove who they are with a mesh certificate. */
export interface MeshTlsAuthentication extends Resource {
  readonly kind: "MeshTLSAuthentication";
  readonly identities: readonly IdentityMatch[];
  readonly refs: readonly IdentityRef[];
}

/** A service account, or all of a namespace. */
export type IdentityRef =
  | { readonly kind: "ServiceAccount"; readonly name: string; readonly namespace: string | undefined }
  | { readonly kind: "Namespace"; readonly name: string };

const identityRef: Reader<IdentityRef> = refine(
  object({
    group: withDefault(oneOf("", "core"), ""),
    kind: required(oneOf("ServiceAccount", "Namespace")),
    name: optional(resourceName),
    namespace: optional(labelName),
  }),
  ({ kind, name, namespace }, at) => {
    if (kind === "ServiceAccount" && name !== undefined) return { kind, name, namespace };
    if (kind === "Namespace" && name !== undefined && namespace === undefined) return { kind, name };
    const expected = name === undefined ? "a name" : "no namespace beside a Namespace";
    report(at, `found ${name === undefined ? "no name" : "a namespace"}, expected ${expected}`);
    return BAD;
  },
);

const spec = object({
  identities: optional(identities),
  identityRefs: optional(listOf(identityRef, { min: 1 })),
});

/** policy.linkerd.io MeshTLSAuthentication. Source: linkerd2, charts/linkerd-crds/templates/policy/meshtls-authentication.yaml. */
export const readMeshTlsAuthentication: Reader<MeshTlsAuthentication> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    if ((spec.identities === undefined) === (spec.identityRefs === undefined)) {
      const count = spec.identities === undefined ? "neither" : "both";
      report(
        childOf(document, "spec") ?? document,
        `found ${count} identities and identityRefs, expected exactly one of them`,
      );
      return BAD;
    }
    return {
      ...base,
      kind: "MeshTLSAuthentication",
      identities: spec.identities ?? [],
      refs: spec.identityRefs ?? [],
    };
  },
);
