import { createHash } from "node:crypto";
import { readConstructed, DER_BIT_STRING, DER_SEQUENCE } from "../../identity/der-reader.ts";
import {
  bitString,
  booleanTrue,
  contextPrimitive,
  octetString,
  oid,
  sequence,
  smallInteger,
} from "../../identity/der-writer.ts";
import {
  OID_AUTHORITY_KEY_ID,
  OID_BASIC_CONSTRAINTS,
  OID_EXT_KEY_USAGE,
  OID_KEY_USAGE,
  OID_SUBJECT_ALT_NAME,
  OID_SUBJECT_KEY_ID,
} from "../../identity/oids.ts";
import { writeGeneralNames, type GeneralName } from "../../identity/subject-alt-name.ts";

/** One complete Extension element of a certificate (RFC 5280, section 4.2). */
export type Extension = Buffer;

export function extension(dotted: string, critical: boolean, value: Buffer): Extension {
  return critical
    ? sequence(oid(dotted), booleanTrue(), octetString(value))
    : sequence(oid(dotted), octetString(value));
}

/** Says whether the certificate may issue others and, if so, how many issuers may follow below it. */
export function basicConstraints(
  authority: { readonly maxIssuersBelow?: number | undefined } | undefined,
): Extension {
  if (authority === undefined) return extension(OID_BASIC_CONSTRAINTS, true, sequence());
  const { maxIssuersBelow } = authority;
  const pathLen = maxIssuersBelow === undefined ? [] : [smallInteger(maxIssuersBelow)];
  return extension(OID_BASIC_CONSTRAINTS, true, sequence(booleanTrue(), ...pathLen));
}

/** Bit numbers of KeyUsage (RFC 5280, section 4.2.1.3). */
const KEY_USAGE_BIT = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, cRLSign: 6 } as const;

export function keyUsage(...uses: readonly (keyof typeof KEY_USAGE_BIT)[]): Extension {
  let byte = 0;
  let highest = 0;
  for (const use of uses) {
    byte |= 0x80 >> KEY_USAGE_BIT[use];
    highest = Math.max(highest, KEY_USAGE_BIT[use]);
  }
  // DER: trailing zero bits of a named bit list are cut off.
  return extension(OID_KEY_USAGE, true, bitString(Buffer.of(byte), 7 - highest));
}

export function extKeyUsage(...purposes: readonly string[]): Extension {
  return extension(OID_EXT_KEY_USAGE, false, sequence(...purposes.map(oid)));
}

/** Critical exactly if the subject is empty, as RFC 5280 section 4.2.1.6 asks. */
export function subjectAltName(names: readonly GeneralName[], critical: boolean): Extension {
  return extension(OID_SUBJECT_ALT_NAME, critical, writeGeneralNames(names));
}

export function subjectKeyId(spki: Buffer): Extension {
  return extension(OID_SUBJECT_KEY_ID, false, octetString(keyId(spki)));
}

export function authorityKeyId(issuerSpki: Buffer): Extension {
  return extension(OID_AUTHORITY_KEY_ID, false, sequence(contextPrimitive(0, keyId(issuerSpki))));
}

/** The 160-bit name of a key: SHA-1 of the bits of its subjectPublicKey (RFC 5280, section 4.2.1.2, method 1). Not a security measure. */
function keyId(spki: Buffer): Buffer {
  const bits = readConstructed(spki, DER_SEQUENCE)?.find((element) => element.tag === DER_BIT_STRING);
  if (bits === undefined) throw new TypeError("not a SubjectPublicKeyInfo");
  return createHash("sha1").update(bits.content.subarray(1)).digest();
}
