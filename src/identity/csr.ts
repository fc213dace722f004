import { createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import {
  DER_BIT_STRING,
  DER_INTEGER,
  DER_OID,
  DER_SEQUENCE,
  DER_SET,
  readConstructed,
  readElements,
  readOid,
  type DerElement,
} from "./der-reader.ts";
import {
  bitString,
  contextConstructed,
  octetString,
  oid,
  sequence,
  setOfOne,
  smallInteger,
} from "./der-writer.ts";
import { readExtensions, type Extensions } from "./read-extensions.ts";
import {
  OID_COMMON_NAME,
  OID_ECDSA_WITH_SHA256,
  OID_EXTENSION_REQUEST,
  OID_SUBJECT_ALT_NAME,
} from "./oids.ts";
import { readGeneralNames, writeGeneralNames, type GeneralName } from "./subject-alt-name.ts";

/**
 * Writes a certificate request (PKCS#10, RFC 2986) for one DNS-like identity as DER.
 *
 * The subject is empty: identities may be longer than the 64 characters of a common name. The identity controller wants
 * exactly one subject alternative name and nothing else (linkerd2, pkg/identity/service.go).
 *
 * @param key a P-256 private key.
 */
export function writeCsr(identity: string, key: KeyObject): Buffer {
  const subjectAltName = sequence(
    oid(OID_SUBJECT_ALT_NAME),
    octetString(writeGeneralNames([{ kind: "dns", text: identity }])),
  );
  const info = sequence(
    smallInteger(0),
    sequence(),
    createPublicKey(key).export({ type: "spki", format: "der" }),
    contextConstructed(0, sequence(oid(OID_EXTENSION_REQUEST), setOfOne(sequence(subjectAltName)))),
  );
  return sequence(info, sequence(oid(OID_ECDSA_WITH_SHA256)), bitString(sign("sha256", info, key)));
}

/** What a certificate request asks for. Its signature is verified: the requester holds the key. */
export interface Csr {
  /** SubjectPublicKeyInfo as it stands in the request. */
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
  /** Each common name of the subject. */
  readonly commonNames: readonly string[];
  readonly names: readonly GeneralName[];
}

/** Reads a DER request with an ECDSA key and an ecdsa-with-SHA256 signature. */
export function parseCsr(der: Buffer): Parsed<Csr> {
  const [info, algorithm, signature, ...more] = readConstructed(der, DER_SEQUENCE) ?? [];
  if (info === undefined || algorithm === undefined || signature === undefined || more.length > 0) {
    return unparsed("not a PKCS#10 certificate request in DER");
  }
  const [version, subject, spki, attributes] = readConstructed(info.whole, DER_SEQUENCE) ?? [];
  const commonNames = subject === undefined ? undefined : readCommonNames(subject.whole);
  if (version?.tag !== DER_INTEGER || spki?.tag !== DER_SEQUENCE || commonNames === undefined) {
    return unparsed("not a well-formed certificate request");
  }
  const publicKey = readPublicKey(spki.whole);
  if (publicKey === undefined || !CURVES.has(publicKey.asymmetricKeyDetails?.namedCurve ?? "")) {
    return unparsed("certificate request without an ECDSA key on P-256, P-384 or P-521");
  }
  const isKnownAlgorithm = algorithm.whole.equals(sequence(oid(OID_ECDSA_WITH_SHA256)));
  const isSigned =
    isKnownAlgorithm &&
    signature.tag === DER_BIT_STRING &&
    signature.content[0] === 0 &&
    verify("sha256", info.whole, publicKey, signature.content.subarray(1));
  if (!isSigned) return unparsed("certificate request whose signature does not verify");
  const extensions = attributes === undefined ? NO_EXTENSIONS : requestedExtensions(attributes);
  const value = extensions?.get(OID_SUBJECT_ALT_NAME)?.value;
  const names = value === undefined ? [] : readGeneralNames(value);
  if (extensions === undefined || names === undefined) {
    return unparsed("certificate request with malformed extensions");
  }
  return parsed({ spki: spki.whole, publicKey, commonNames, names });
}

/** Attributes: `[0] { SEQUENCE { OID, SET { value } } ... }`; at most one extension request is allowed. */
function requestedExtensions(attributes: DerElement): Extensions | undefined {
  const entries = attributes.tag === TAG_ATTRIBUTES ? readElements(attributes.content) : undefined;
  if (entries === undefined) return undefined;
  let found: Extensions | undefined;
  for (const entry of entries) {
    const [type, values] = readConstructed(entry.whole, DER_SEQUENCE) ?? [];
    if (type?.tag !== DER_OID || values?.tag !== DER_SET) return undefined;
    if (readOid(type.content) !== OID_EXTENSION_REQUEST) continue;
    if (found !== undefined) return undefined;
    found = readExtensions(values.content);
    if (found === undefined) return undefined;
  }
  return found ?? NO_EXTENSIONS;
}

/** Name: `SEQUENCE { SET { SEQUENCE { OID, string } ... } ... }`. */
function readCommonNames(name: Buffer): string[] | undefined {
  const sets = readConstructed(name, DER_SEQUENCE);
  if (sets === undefined) return undefined;
  const commonNames: string[] = [];
  for (const set of sets) {
    const attributes = readConstructed(set.whole, DER_SET);
    if (attributes === undefined) return undefined;
    for (const attribute of attributes) {
      const [type, value] = readConstructed(attribute.whole, DER_SEQUENCE) ?? [];
      if (type?.tag !== DER_OID || value === undefined) return undefined;
      if (readOid(type.content) === OID_COMMON_NAME) commonNames.push(value.content.toString("utf8"));
    }
  }
  return commonNames;
}

const TAG_ATTRIBUTES = 0xa0;

const NO_EXTENSIONS: Extensions = new Map();

/** What TLS 1.3 has signature schemes for, in OpenSSL's words. */
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

function readPublicKey(spki: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: spki, type: "spki", format: "der" });
  } catch {
    return undefined;
  }
}
