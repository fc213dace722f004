import { sign, type KeyObject } from "node:crypto";
import {
  bitString,
  contextConstructed,
  oid,
  sequence,
  setOfOne,
  smallInteger,
  time,
  unsignedInteger,
  utf8String,
} from "../../identity/der-writer.ts";
import { OID_COMMON_NAME, OID_ECDSA_WITH_SHA256 } from "../../identity/oids.ts";
import type { Extension } from "./extensions.ts";

/** What a certificate says, before it is signed. */
export interface CertificateContent {
  /** Big-endian, at most 20 bytes, not zero (RFC 5280, section 4.1.2.2). */
  readonly serial: Buffer;
  /** A Name element, as `distinguishedName` makes it or as it stands in the issuer's certificate. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Wall time; cut to whole seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo of the certified key. */
  readonly spki: Buffer;
  readonly extensions: readonly Extension[];
}

/**
 * A signed X.509 version 3 certificate as DER.
 *
 * @param issuerKey an EC P-256 private key; the signature is ecdsa-with-SHA256.
 */
export function signCertificate(content: CertificateContent, issuerKey: KeyObject): Buffer {
  const algorithm = sequence(oid(OID_ECDSA_WITH_SHA256));
  const toBeSigned = sequence(
    contextConstructed(0, smallInteger(VERSION_3)),
    unsignedInteger(content.serial),
    algorithm,
    content.issuer,
    sequence(time(content.notBeforeMs), time(content.notAfterMs)),
    content.subject,
    content.spki,
    contextConstructed(3, sequence(...content.extensions)),
  );
  return sequence(toBeSigned, algorithm, bitString(sign("sha256", toBeSigned, issuerKey)));
}

/** A Name of one common name, or the empty Name for "". */
export function distinguishedName(commonName: string): Buffer {
  if (commonName === "") return sequence();
  return sequence(setOfOne(sequence(oid(OID_COMMON_NAME), utf8String(commonName))));
}

/** Versions are counted from zero. */
const VERSION_3 = 2;
