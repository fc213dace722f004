import { X509Certificate } from "node:crypto";
import { parseDnsName } from "../addr/dns-name.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { DER_INTEGER, DER_OID, DER_SEQUENCE, readConstructed, readElement, readOid } from "./der-reader.ts";
import { readNameConstraints, type NameConstraints } from "./name-constraints.ts";
import {
  readBasicConstraints,
  readExtensions,
  readExtKeyUsage,
  type BasicConstraints,
  type Extensions,
} from "./read-extensions.ts";
import { parseId, type Id } from "./id.ts";
import {
  OID_BASIC_CONSTRAINTS,
  OID_CRL_DISTRIBUTION_POINTS,
  OID_EXT_KEY_USAGE,
  OID_KEY_USAGE,
  OID_NAME_CONSTRAINTS,
  OID_SIGNED_CERTIFICATE_TIMESTAMPS,
  OID_SUBJECT_ALT_NAME,
} from "./oids.ts";
import { readGeneralNames, type GeneralName } from "./subject-alt-name.ts";

/** A certificate with what the mesh asks of it. Signatures and validity are judged elsewhere (`verifyChain`). */
export interface Certificate {
  readonly der: Buffer;
  readonly x509: X509Certificate;
  /** Wall time in milliseconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** 3 for every certificate that may be of use; older ones have no extensions. */
  readonly version: number;
  /** Dotted algorithm of the issuer's signature. */
  readonly signatureAlgorithm: string;
  /** The Name elements as they stand, so that names are compared as bytes. */
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly constraints: BasicConstraints;
  /** Dotted purposes; undefined: any purpose. */
  readonly extKeyUsage: readonly string[] | undefined;
  /** What an authority may certify; undefined: everything. */
  readonly nameConstraints: NameConstraints | undefined;
  /** The dotted name of an extension that must not be overlooked and that we do not know. */
  readonly unknownCritical: string | undefined;
  /** Subject alternative names of every kind, in certificate order. */
  readonly names: readonly GeneralName[];
  /** Who the certificate may speak for, in certificate order. See `candidateIds`. */
  readonly ids: readonly Id[];
}

/** Reads one DER certificate. */
export function parseCertificate(der: Buffer): Parsed<Certificate> {
  const x509 = readX509(der);
  return x509 === undefined ? unparsed("not an X.509 certificate in DER") : readCertificate(x509, der);
}

/** Reads a certificate that a TLS library has taken in already. */
export function certificateOf(x509: X509Certificate): Parsed<Certificate> {
  return readCertificate(x509, x509.raw);
}

function readCertificate(x509: X509Certificate, der: Buffer): Parsed<Certificate> {
  const fields = readFields(der);
  if (fields === undefined) return unparsed("not a well-formed X.509 certificate");
  const { extensions, version, signatureAlgorithm } = fields;
  const constraintsValue = extensions.get(OID_BASIC_CONSTRAINTS)?.value;
  const constraints: BasicConstraints | undefined =
    constraintsValue === undefined ? { isAuthority: false } : readBasicConstraints(constraintsValue);
  if (constraints === undefined) return unparsed("certificate with malformed basic constraints");
  const usageValue = extensions.get(OID_EXT_KEY_USAGE)?.value;
  const extKeyUsage = usageValue === undefined ? undefined : readExtKeyUsage(usageValue);
  if (usageValue !== undefined && extKeyUsage === undefined) {
    return unparsed("certificate with malformed extended key usage");
  }
  const limitsValue = extensions.get(OID_NAME_CONSTRAINTS)?.value;
  const nameConstraints = limitsValue === undefined ? undefined : readNameConstraints(limitsValue);
  if (limitsValue !== undefined && nameConstraints === undefined) {
    return unparsed("certificate with malformed name constraints");
  }
  const namesValue = extensions.get(OID_SUBJECT_ALT_NAME)?.value;
  const names = namesValue === undefined ? [] : readGeneralNames(namesValue);
  if (names === undefined) return unparsed("certificate with malformed subject alternative name");
  return parsed({
    der,
    x509,
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
    version,
    signatureAlgorithm,
    subject: fields.subject,
    issuer: fields.issuer,
    constraints,
    extKeyUsage,
    nameConstraints,
    unknownCritical: unknownCriticalOf(extensions),
    names,
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

function unknownCriticalOf(extensions: Extensions): string | undefined {
  for (const [dotted, { critical }] of extensions) {
    if (critical && !UNDERSTOOD.has(dotted)) return dotted;
  }
  return undefined;
}

/** Those that decide something here, and those whose meaning cannot matter. Source: webpki, src/cert.rs. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID_BASIC_CONSTRAINTS,
  OID_KEY_USAGE,
  OID_EXT_KEY_USAGE,
  OID_SUBJECT_ALT_NAME,
  OID_NAME_CONSTRAINTS,
  OID_CRL_DISTRIBUTION_POINTS,
  OID_SIGNED_CERTIFICATE_TIMESTAMPS,
]);

interface Fields {
  readonly version: number;
  readonly signatureAlgorithm: string;
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
  const hasVersion = fields[0]?.tag === TAG_VERSION;
  const version = hasVersion ? readVersion(fields[0]?.content) : 1;
  const afterVersion = hasVersion ? fields.slice(1) : fields;
  const [, algorithm, issuer, , subject] = afterVersion;
  if (issuer?.tag !== DER_SEQUENCE || subject?.tag !== DER_SEQUENCE) return undefined;
  // OpenSSL compares it with the one outside, which is the one it uses.
  const algorithmId =
    algorithm === undefined ? undefined : readConstructed(algorithm.whole, DER_SEQUENCE)?.[0];
  const signatureAlgorithm = algorithmId?.tag === DER_OID ? readOid(algorithmId.content) : undefined;
  const wrapped = afterVersion.find((field) => field.tag === TAG_EXTENSIONS);
  const extensions = wrapped === undefined ? new Map<string, never>() : readExtensions(wrapped.content);
  if (version === undefined || signatureAlgorithm === undefined || extensions === undefined) return undefined;
  return { version, signatureAlgorithm, issuer: issuer.whole, subject: subject.whole, extensions };
}

/** Versions are counted from zero. */
function readVersion(content: Buffer | undefined): number | undefined {
  const element = content === undefined ? undefined : readElement(content, 0);
  const [number] = element?.content ?? [];
  const isOneByte = element?.tag === DER_INTEGER && element.content.length === 1;
  return isOneByte && number !== undefined ? number + 1 : undefined;
}

const TAG_VERSION = 0xa0;
const TAG_EXTENSIONS = 0xa3;
