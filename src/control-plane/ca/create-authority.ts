import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { distinguishedName, signCertificate } from "./certificate.ts";
import { authorityKeyId, basicConstraints, keyUsage, subjectKeyId } from "./extensions.ts";
import { newSerial } from "./serial.ts";

/** A year, the life of what the usual installation commands make. */
export const AUTHORITY_LIFETIME_MS = 365 * 24 * 3600 * 1000;

/** Authorities start in the past, so that a peer whose clock is behind believes in them at once. */
const AUTHORITY_CLOCK_SKEW_MS = 5 * 60 * 1000;

/** What an authority is made of; certificates are DER. */
export interface AuthorityMaterial {
  /** What peers are given to trust: several while one takes the place of another. */
  readonly anchors: readonly Buffer[];
  /** Directly below one of the anchors, or one of them. */
  readonly issuer: Buffer;
  /** P-256. */
  readonly issuerKey: KeyObject;
}

/**
 * Makes a root and an issuer below it. The root's key is forgotten once it has signed the issuer: nobody can then make
 * another one.
 *
 * @param trustDomain for instance `cluster.local`; it appears in the names of both.
 * @param nowMs wall time.
 */
export function createAuthorityMaterial(trustDomain: string, nowMs: number): AuthorityMaterial {
  const root: Holder = { name: `root.linkerd.${trustDomain}`, key: newKey() };
  const issuer: Holder = { name: `identity.linkerd.${trustDomain}`, key: newKey() };
  return {
    anchors: [certify(root, root, 1, nowMs)],
    issuer: certify(issuer, root, 0, nowMs),
    issuerKey: issuer.key,
  };
}

interface Holder {
  readonly name: string;
  readonly key: KeyObject;
}

function certify(holder: Holder, signer: Holder, maxIssuersBelow: number, nowMs: number): Buffer {
  const spki = spkiOf(holder.key);
  return signCertificate(
    {
      serial: newSerial(),
      issuer: distinguishedName(signer.name),
      subject: distinguishedName(holder.name),
      notBeforeMs: nowMs - AUTHORITY_CLOCK_SKEW_MS,
      notAfterMs: nowMs + AUTHORITY_LIFETIME_MS,
      spki,
      extensions: [
        keyUsage("keyCertSign", "cRLSign"),
        basicConstraints({ maxIssuersBelow }),
        subjectKeyId(spki),
        ...(signer === holder ? [] : [authorityKeyId(spkiOf(signer.key))]),
      ],
    },
    signer.key,
  );
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}
