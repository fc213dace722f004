import type { KeyObject } from "node:crypto";
import {
  OID_ECDSA_WITH_SHA256,
  OID_ECDSA_WITH_SHA384,
  OID_ECDSA_WITH_SHA512,
  OID_ED25519,
  OID_SHA256_WITH_RSA,
  OID_SHA384_WITH_RSA,
  OID_SHA512_WITH_RSA,
} from "./oids.ts";

/**
 * Whether a certificate signed with this algorithm by this key is believed: ECDSA on P-256, P-384 and P-521 with SHA-2,
 * Ed25519, and RSA (PKCS #1 v1.5) of 2048 to 8192 bits with SHA-2. Nothing with SHA-1, no RSA-PSS.
 *
 * Source: linkerd2-proxy, linkerd/rustls/src/crypto.rs.
 */
export function isBelieved(signatureAlgorithm: string, issuerKey: KeyObject): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails } = issuerKey;
  switch (signatureAlgorithm) {
    case OID_ECDSA_WITH_SHA256:
    case OID_ECDSA_WITH_SHA384:
    case OID_ECDSA_WITH_SHA512:
      return asymmetricKeyType === "ec" && CURVES.has(asymmetricKeyDetails?.namedCurve ?? "");
    case OID_ED25519:
      return asymmetricKeyType === "ed25519";
    case OID_SHA256_WITH_RSA:
    case OID_SHA384_WITH_RSA:
    case OID_SHA512_WITH_RSA: {
      const bits = asymmetricKeyDetails?.modulusLength ?? 0;
      return asymmetricKeyType === "rsa" && bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS;
    }
    default:
      return false;
  }
}

/** P-256, P-384 and P-521 in OpenSSL's words. */
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

const RSA_MIN_BITS = 2048;
const RSA_MAX_BITS = 8192;
