import { X509Certificate } from "node:crypto";
import { parseDnsName } from "../addr/dns-name.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { DER_SEQUENCE, readConstructed } from "./der-reader.ts";
import {
  readBasicConstraints,
  readExtensions,
  readExtKeyUsage,
  type BasicConstraints,
  type Extensions,
} from "./read-extensions.ts";
import { parseId, type Id } from "./id.ts";
import { OID_BASIC_CONSTRAINTS, OID_EXT_KEY_USAGE, OID_SUBJECT_ALT_NAME } from "./oids.ts";
import { readGeneralNames, type GeneralName } from "./subject-alt-name.ts";

/** A certificate with what the mesh asks of it. Signatures and validity are judged elsewhere (`verifyChain`). */
export interface Certificate {
  readonly der: Buffer;
  readonly x509: X509Certificate;
  /** Wall time in milliseconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The Name elements as they stand, so that names are compared as bytes. */
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly constraints: BasicConstraints;
  /** Dotted purposes; undefined: any purpose. */
  readonly extKeyUsage: readonly string[] | undefined;
  /** Who the certificate may speak for, in certificate order. See `candidateIds`. */
  readonly ids: readonly Id[];
}

/** Reads one DER certificate. */
export function parseCertificate(der: Buffer): Parsed<Certificate> {
  const x509 = readX509(der);
  if (x509 === undefined) return unparsed("not an X.509 certificate in DER");
  const fields = readFields(der);
  if (fields === undefined) return unparsed("not a well-formed X.509 certificate");
  const { extensions } = fields;
  const constraintsValue = extensions.get(OID_BASIC_CONSTRAINTS);
  const constraints: BasicConstraints | undefined =
    constraintsValue === undefined ? { isAuthority: false } : readBasicConstraints(constraintsValue);
  if (constraints === undefined) return unparsed("certificate with malformed basic constraints");
  const usageValue = extensions.get(OID_EXT_KEY_USAGE);
  const extKeyUsage = usageValue === undefined ? undefined : readExtKeyUsage(usageValue);
  if (usageValue !== undefined && extKeyUsage === undefined) {
    return unparsed("certificate with malformed extended key usage");
  }
  const namesValue = extensions.get(OID_SUBJECT_ALT_NAME);
  const names = namesValue === undefined ? [] : readGeneralNames(namesValue);
  if (names === undefined) return unparsed("certificate with malformed subject alternative name");
  return parsed({
    der,
    x509,
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
    subject: fields.subject,
    issuer: fields.issuer,
    constraints,
    extKeyUsage,
    ids: candidateIds(names),
  });
}

/**
 * The identities among subject alternative names, in their order: DNS names without trailing dot, and URIs.
 *
 * Everything else is passed over: addresses, wildcards, names with a dot at the end, and text with blanks, control or
 * non-ASCII characters, which URL parsing would strip or rewrite into somebody else's identity.
 *
 * Source: linkerd2-proxy, linkerd/meshtls/verifier/src/lib.rs.
 */
export function candidateIds(names: readonly GeneralName[]): Id[] {
  const ids: Id[] = [];
  for (const name of names) {
    if (name.kind !== "dns" && name.kind !== "uri") continue;
    if (!/^[\x21-\x7e]+$/.test(name.text)) continue;
    if (name.kind === "dns") {
      const dns = parseDnsName(name.text);
      if (dns.ok && !dns.value.endsWith(".")) ids.push({ kind: "dns", text: dns.value });
    } else {
      const id = parseId(name.text);
      if (id.ok && id.value.kind === "uri") ids.push(id.value);
    }
  }
  return ids;
}

function readX509(der: Buffer): X509Certificate | undefined {
  // Node would also take PEM here, and OpenSSL would overlook bytes after the certificate.
  if (readConstructed(der, DER_SEQUENCE) === undefined) return undefined;
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

interface Fields {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly extensions: Extensions;
}

/** Reads TBSCertificate, RFC 5280 section 4.1: `[0] version, serial, algorithm, issuer, validity, subject, key, ... [3] extensions`. */
function readFields(der: Buffer): Fields | undefined {
  const toBeSigned = readConstructed(der, DER_SEQUENCE)?.[0];
  if (toBeSigned === undefined) return undefined;
  const fields = readConstructed(toBeSigned.whole, DER_SEQUENCE);
  if (fields === undefined) return undefined;
  const afterVersion = fields[0]?.tag === TAG_VERSION ? fields.slice(1) : fields;
  const issuer = afterVersion[2];
  const subject = afterVersion[4];
  if (issuer?.tag !== DER_SEQUENCE || subject?.tag !== DER_SEQUENCE) return undefined;
  const wrapped = afterVersion.find((field) => field.tag === TAG_EXTENSIONS);
  const extensions = wrapped === undefined ? new Map<string, Buffer>() : readExtensions(wrapped.content);
  if (extensions === undefined) return undefined;
  return { issuer: issuer.whole, subject: subject.whole, extensions };
}

const TAG_VERSION = 0xa0;
const TAG_EXTENSIONS = 0xa3;
