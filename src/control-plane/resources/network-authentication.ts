import type { Network } from "../../policy/server-policy.ts";
import { networks } from "./networks.ts";
import { resource, type Resource } from "./object-meta.ts";
import { object, required, type Reader } from "./reader.ts";

/** A set of clients told by their addresses. */
export interface NetworkAuthentication extends Resource {
  readonly kind: "NetworkAuthentication";
  readonly networks: readonly Network[];
}

/** policy.linkerd.io NetworkAuthentication. */
export const readNetworkAuthentication: Reader<NetworkAuthentication> = resource(
  { spec: required(object({ networks: required(networks) })) },
  (base, { spec }) => ({ ...base, kind: "NetworkAuthentication", networks: spec.networks }),
);
