import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseCsr, writeCsr } from "./csr.ts";

/** The key of this process with the request that is sent for every certificate. Both live as long as the process. */
export interface KeyAndCsr {
  readonly key: KeyObject;
  /** PKCS#10 as DER. */
  readonly csr: Buffer;
}

/** Makes a P-256 key in memory, where it stays, and a request for `identity`. */
export function generateKeyAndCsr(identity: string): KeyAndCsr {
  const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { key, csr: writeCsr(identity, key) };
}

/**
 * Takes the key and request that a launcher wrote beforehand (`key.p8` and `csr.der` of the identity directory).
 *
 * @param keyDer PKCS#8 as DER.
 * @param csrDer must be signed by that key. What it asks for is for the identity service to judge.
 */
export function parseKeyAndCsr(keyDer: Buffer, csrDer: Buffer): Parsed<KeyAndCsr> {
  const key = parsePrivateKey(keyDer);
  if (!key.ok) return key;
  const csr = parseCsr(csrDer);
  if (!csr.ok) return csr;
  if (!csr.value.publicKey.equals(createPublicKey(key.value))) {
    return unparsed("the certificate request was made with another key");
  }
  return parsed({ key: key.value, csr: csrDer });
}

/** Reads a P-256 private key, PKCS#8 DER without encryption. No part of the key ever appears in the problem. */
export function parsePrivateKey(der: Buffer): Parsed<KeyObject> {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: der, type: "pkcs8", format: "der" });
  } catch {
    return unparsed("not an unencrypted private key in PKCS#8 DER");
  }
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? "unknown";
  return kind === "prime256v1"
    ? parsed(key)
    : unparsed(`a private key of kind ${kind}, expected ECDSA P-256`);
}
