import type { Network } from "../../policy/server-policy.ts";
import { childOf, report, type Found } from "./found.ts";
import { identities, serviceAccounts, type IdentityMatch, type ServiceAccountRef } from "./identities.ts";
import { labelSelector, type LabelSelector } from "./label-selector.ts";
import { networks } from "./networks.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  BAD,
  boolean,
  object,
  optional,
  required,
  refine,
  withDefault,
  type Bad,
  type Reader,
} from "./reader.ts";
import { resourceName } from "./words.ts";

/** The older way to admit clients to Servers. */
export interface ServerAuthorization extends Resource {
  readonly kind: "ServerAuthorization";
  readonly server:
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "selector"; readonly selector: LabelSelector };
  /** Empty: the cluster networks. */
  readonly networks: readonly Network[];
  readonly client:
    | { readonly kind: "unauthenticated" }
    | { readonly kind: "tls_unauthenticated" }
    | {
        readonly kind: "identities";
        readonly identities: readonly IdentityMatch[];
        readonly serviceAccounts: readonly ServiceAccountRef[];
      };
}

const server: Reader<ServerAuthorization["server"]> = refine(
  object({ name: optional(resourceName), selector: optional(labelSelector) }),
  (value, at) => {
    if (value.name !== undefined && value.selector === undefined) return { kind: "name", name: value.name };
    if (value.selector !== undefined && value.name === undefined) {
      return { kind: "selector", selector: value.selector };
    }
    const count = value.name === undefined ? "neither" : "both";
    report(at, `found ${count} name and selector, expected exactly one of them`);
    return BAD;
  },
);

const meshTls = object({
  unauthenticatedTLS: withDefault(boolean, false),
  identities: withDefault(identities, []),
  serviceAccounts: withDefault(serviceAccounts, []),
});

const spec = object({
  server: required(server),
  client: required(
    object({
      networks: withDefault(networks, []),
      unauthenticated: withDefault(boolean, false),
      meshTLS: optional(meshTls),
    }),
  ),
});

/** policy.linkerd.io ServerAuthorization. Source: linkerd2, policy-controller/k8s/index/src/inbound/server_authorization.rs. */
export const readServerAuthorization: Reader<ServerAuthorization> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    const at = childOf(childOf(document, "spec") ?? document, "client") ?? document;
    const client = clientOf(spec.client, at);
    if (client === BAD) return BAD;
    return {
      ...base,
      kind: "ServerAuthorization",
      server: spec.server,
      networks: spec.client.networks,
      client,
    };
  },
);

/** A contradiction must not be read as the wider of what it says. */
function clientOf(
  client: {
    readonly unauthenticated: boolean;
    readonly meshTLS: Exclude<ReturnType<typeof meshTls>, Bad> | undefined;
  },
  at: Found,
): ServerAuthorization["client"] | Bad {
  const { unauthenticated, meshTLS } = client;
  if (unauthenticated && meshTLS === undefined) return { kind: "unauthenticated" };
  if (unauthenticated) {
    report(at, "found unauthenticated: true beside meshTLS, expected one of them");
    return BAD;
  }
  const identities = meshTLS?.identities ?? [];
  const accounts = meshTLS?.serviceAccounts ?? [];
  const named = identities.length + accounts.length;
  if (meshTLS?.unauthenticatedTLS === true && named === 0) return { kind: "tls_unauthenticated" };
  if (meshTLS?.unauthenticatedTLS === true) {
    report(at, "found unauthenticatedTLS: true beside identities or serviceAccounts, expected one of them");
    return BAD;
  }
  if (named > 0) return { kind: "identities", identities, serviceAccounts: accounts };
  report(at, "found nobody who is let in, expected unauthenticated: true, or meshTLS with clients");
  return BAD;
}
