import { parseId } from "../../identity/id.ts";
import { assertNever } from "../../parsed.ts";
import type { Authentication, Authorization, Network } from "../../policy/server-policy.ts";
import type * as proto from "../../proto/gen/inbound_pb.js";
import { each, invalid, optional, required, field } from "./field.ts";
import { metaFromLabels, metaFromProto } from "./meta.ts";
import { cidrFromProto } from "./net.ts";

/** An authorization. One that lacks networks or authentication is a problem: it must not become "everybody". */
export function authorizationFromProto(authz: proto.Authz): Authorization {
  if (authz.networks.length === 0) return field("networks", () => invalid("is empty"));
  return {
    meta:
      optional("metadata", authz.metadata, (m) => metaFromProto(m, "omitted")) ??
      field("labels", () => metaFromLabels(authz.labels, "serverauthorization")),
    networks: each("networks", authz.networks, networkFromProto),
    authentication: required("authentication", authz.authentication, authenticationFromProto),
  };
}

function networkFromProto(network: proto.Network): Network {
  return {
    net: required("net", network.net, cidrFromProto),
    except: each("except", network.except, cidrFromProto),
  };
}

function authenticationFromProto({ permit }: proto.Authn): Authentication {
  switch (permit.case) {
    case "unauthenticated":
      return { kind: "unauthenticated" };
    case "meshTLS":
      return field("meshTLS", () => meshTlsFromProto(permit.value));
    case undefined:
      return invalid("permits nobody");
    default:
      return assertNever(permit);
  }
}

function meshTlsFromProto({ clients }: proto.Authn_PermitMeshTLS): Authentication {
  switch (clients.case) {
    case "unauthenticated":
      return { kind: "tls_unauthenticated" };
    case "identities":
      return {
        kind: "tls_authenticated",
        identities: identitiesFromProto(clients.value.identities),
        suffixes: clients.value.suffixes.map(suffixFromProto),
      };
    case undefined:
      return invalid("permits nobody");
    default:
      return assertNever(clients);
  }
}

/** Identities as normalised text. What is none is left out, since no certificate can carry it. */
export function identitiesFromProto(identities: readonly proto.Identity[]): ReadonlySet<string> {
  const texts = new Set<string>();
  for (const { name } of identities) {
    const id = parseId(name);
    if (id.ok) texts.add(id.value.text);
  }
  return texts;
}

/** `.ns.serviceaccount...`; "" for no parts, which is the end of every DNS identity. */
function suffixFromProto({ parts }: proto.IdentitySuffix): string {
  return parts.map((part) => `.${part.toLowerCase()}`).join("");
}
