import { constants } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** In order of preference. Source: linkerd2-proxy, linkerd/rustls/src/crypto.rs. */
const SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/** In order of preference; the hybrid of X25519 and ML-KEM-768 needs OpenSSL 3.5 and is left out where it is missing. */
const HYBRID_GROUP = "X25519MLKEM768";
const CLASSIC_GROUPS = ["X25519", "P-256", "P-384"];

const RUSTLS_GROUP_NAMES: ReadonlyMap<string, string> = new Map([
  ["P-256", "secp256r1"],
  ["P-384", "secp384r1"],
]);

/**
 * Signatures a peer may use. For the handshake itself TLS 1.3 allows only the first four of these; the RSA ones serve
 * chains alone, so that a leaf with an RSA key cannot be used. Source: linkerd2-proxy, linkerd/meshtls/src/creds.
 */
const SIGNATURES = [
  "ecdsa_secp256r1_sha256",
  "ecdsa_secp384r1_sha384",
  "ecdsa_secp521r1_sha512",
  "ed25519",
  "rsa_pkcs1_sha256",
  "rsa_pkcs1_sha384",
  "rsa_pkcs1_sha512",
];

const groups = supportsGroup(HYBRID_GROUP) ? [HYBRID_GROUP, ...CLASSIC_GROUPS] : CLASSIC_GROUPS;

/** What every handshake of the mesh has in common, as client and as server. */
export const MESH_TLS: SecureContextOptions = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: SUITES.join(":"),
  honorCipherOrder: true,
  ecdhCurve: groups.join(":"),
  sigalgs: SIGNATURES.join(":"),
  // A resumed session would keep an identity alive beyond its certificate.
  secureOptions: constants.SSL_OP_NO_TICKET,
  // A bundle may list an issuer without its root: it is then the anchor.
  allowPartialTrustChain: true,
};

/**
 * What TLS offers here, in order of preference, in the names that the gauge `rustls_info` and its dashboards use.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/tls_info.rs.
 */
export const TLS_INFO: { readonly suites: readonly string[]; readonly groups: readonly string[] } = {
  suites: SUITES.map((name) => name.replace("TLS_", "TLS13_")),
  groups: groups.map((name) => RUSTLS_GROUP_NAMES.get(name) ?? name),
};

function supportsGroup(name: string): boolean {
  try {
    createSecureContext({ ecdhCurve: name });
    return true;
  } catch {
    return false;
  }
}
