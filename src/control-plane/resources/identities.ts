import { parseDnsName } from "../../addr/dns-name.ts";
import { parseId } from "../../identity/id.ts";
import { parsed, type Parsed } from "../../parsed.ts";
import { listOf, object, parsedText, required, optional, type Reader } from "./reader.ts";
import { labelName, resourceName } from "./words.ts";

/** Clients that an authentication admits. */
export type IdentityMatch =
  | { readonly kind: "exact"; readonly identity: string }
  /** `*.shop.serviceaccount...` ends with these labels; none at all matches every DNS identity. */
  | { readonly kind: "suffix"; readonly labels: readonly string[] };

/** A service account, whose identity follows from the trust domain. */
export interface ServiceAccountRef {
  readonly name: string;
  readonly namespace: string | undefined;
}

function parseIdentityMatch(text: string): Parsed<IdentityMatch> {
  if (text === "*") return parsed({ kind: "suffix", labels: [] });
  if (text.startsWith("*.")) {
    const rest = parseDnsName(text.slice(2));
    return rest.ok ? parsed({ kind: "suffix", labels: rest.value.split(".") }) : rest;
  }
  const id = parseId(text);
  return id.ok ? parsed({ kind: "exact", identity: id.value.text }) : id;
}

const identity: Reader<IdentityMatch> = parsedText(
  'an identity such as "web.shop.serviceaccount.identity.linkerd.cluster.local", "*", "*.example" or a URI',
  parseIdentityMatch,
);

export const identities = listOf(identity, { min: 1 });

export const serviceAccounts: Reader<readonly ServiceAccountRef[]> = listOf(
  object({ name: required(resourceName), namespace: optional(labelName) }),
);
