import { contextPrimitive, sequence } from "./der-writer.ts";
import { assertNever } from "../parsed.ts";
import { DER_SEQUENCE, readConstructed, type DerElement } from "./der-reader.ts";

/**
 * An entry of a subjectAltName extension, or a base of name constraints. Kinds that can never be an identity are kept as
 * `other` with their number, so that order and count stay.
 */
export type GeneralName =
  | { readonly kind: "dns"; readonly text: string }
  | { readonly kind: "uri"; readonly text: string }
  | { readonly kind: "email"; readonly text: string }
  | { readonly kind: "ip"; readonly bytes: Buffer }
  | { readonly kind: "other"; readonly number: number };

/** The number of `directoryName` among the kinds of names. */
export const DIRECTORY_NAME = 4;

/** GeneralName, RFC 5280 section 4.2.1.6: context tags of primitive IMPLICIT types. */
const TAG = { email: 1, dns: 2, uri: 6, ip: 7 } as const;
const CONTEXT = 0x80;
const TAG_NUMBER = 0x1f;

/** The value of a subjectAltName extension: what goes into its OCTET STRING. */
export function writeGeneralNames(names: readonly GeneralName[]): Buffer {
  return sequence(...names.map(writeGeneralName));
}

function writeGeneralName(name: GeneralName): Buffer {
  switch (name.kind) {
    case "dns":
    case "uri":
    case "email":
      return contextPrimitive(TAG[name.kind], Buffer.from(name.text, "latin1"));
    case "ip":
      return contextPrimitive(TAG.ip, name.bytes);
    case "other":
      throw new RangeError("a general name of unknown kind cannot be written");
    default:
      return assertNever(name);
  }
}

/**
 * Reads the value of a subjectAltName extension in certificate order; undefined if it is not well-formed DER.
 *
 * Bytes become characters one to one, without any printed form in between: what a hostile certificate puts into one
 * entry stays in that entry, and a parser of names then refuses it.
 */
export function readGeneralNames(value: Buffer): GeneralName[] | undefined {
  return readConstructed(value, DER_SEQUENCE)?.map(generalNameOf);
}

/** Reads one name by its context tag. */
export function generalNameOf({ tag, content }: DerElement): GeneralName {
  if (tag === (CONTEXT | TAG.dns)) return { kind: "dns", text: content.toString("latin1") };
  if (tag === (CONTEXT | TAG.uri)) return { kind: "uri", text: content.toString("latin1") };
  if (tag === (CONTEXT | TAG.email)) return { kind: "email", text: content.toString("latin1") };
  if (tag === (CONTEXT | TAG.ip)) return { kind: "ip", bytes: content };
  return { kind: "other", number: tag & TAG_NUMBER };
}
