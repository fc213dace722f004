import { parsed, unparsed, type Parsed } from "../parsed.ts";
import type { CertChain } from "./cert-chain.ts";
import type { Certificate } from "./certificate.ts";
import { OID_CLIENT_AUTH, OID_SERVER_AUTH } from "./oids.ts";
import type { TrustRoots } from "./trust-roots.ts";

/** In which role the owner of the leaf presents it. */
export type Purpose = "client" | "server";

/** Issuers between leaf and anchor. Source: webpki, src/verify_cert.rs. */
const MAX_INTERMEDIATES = 6;

/** Signature checks spent on one chain, so that a pile of equal-named issuers costs a bounded time. */
const MAX_SIGNATURE_CHECKS = 64;

/**
 * Whether `chain` leads from its leaf to one of `roots` at wall time `nowMs`.
 *
 * The rules are webpki's: an anchor's own dates do not matter; issuers must be authorities within their path length;
 * the leaf must be none. This judges certificates that are handed to us for our own use; name constraints are left to
 * the peers that we then present it to. Peers' chains are verified by OpenSSL during the handshake.
 */
export function verifyChain(
  chain: CertChain,
  roots: TrustRoots,
  nowMs: number,
  purpose: Purpose,
): Parsed<undefined> {
  const problem = leafProblem(chain.leaf, purpose) ?? validityProblem(chain.leaf, nowMs);
  if (problem !== undefined) return unparsed(problem);
  const search: Search = {
    nowMs,
    roots,
    intermediates: chain.intermediates,
    checksLeft: MAX_SIGNATURE_CHECKS,
  };
  return isAnchored(chain.leaf, [], search)
    ? parsed(undefined)
    : unparsed("certificate does not chain to the trust anchors");
}

/** Whether `issuer` may, at wall time `nowMs`, sign certificates that lead to one of `roots` without further help. */
export function verifyIssuer(issuer: Certificate, roots: TrustRoots, nowMs: number): Parsed<undefined> {
  if (!issuer.constraints.isAuthority) return unparsed("certificate does not belong to an authority");
  const problem = validityProblem(issuer, nowMs);
  if (problem !== undefined) return unparsed(problem);
  const isTrusted = roots.anchors.some((anchor) => anchor.der.equals(issuer.der));
  const search: Search = { nowMs, roots, intermediates: [], checksLeft: MAX_SIGNATURE_CHECKS };
  return isTrusted || isAnchored(issuer, [], search)
    ? parsed(undefined)
    : unparsed("certificate does not chain to the trust anchors");
}

/**
 * What makes a certificate unusable for the end of a connection, whoever signed it; undefined if nothing does.
 *
 * OpenSSL lets an authority's certificate pass as a leaf: whoever holds an issuer's key must still not be a peer.
 */
export function leafProblem(leaf: Certificate, purpose: Purpose): string | undefined {
  if (leaf.constraints.isAuthority) return "certificate belongs to an authority and cannot be used as a leaf";
  const needed = purpose === "client" ? OID_CLIENT_AUTH : OID_SERVER_AUTH;
  if (leaf.extKeyUsage !== undefined && !leaf.extKeyUsage.includes(needed)) {
    return `certificate is not meant for a TLS ${purpose}`;
  }
  return undefined;
}

function validityProblem(certificate: Certificate, nowMs: number): string | undefined {
  if (nowMs < certificate.notBeforeMs) {
    return `certificate is not valid before ${new Date(certificate.notBeforeMs).toISOString()}`;
  }
  if (nowMs > certificate.notAfterMs) {
    return `certificate expired at ${new Date(certificate.notAfterMs).toISOString()}`;
  }
  return undefined;
}

interface Search {
  readonly nowMs: number;
  readonly roots: TrustRoots;
  readonly intermediates: readonly Certificate[];
  checksLeft: number;
}

/** @param below the issuers already used between the leaf and `certificate`, including `certificate` unless it is the leaf. */
function isAnchored(certificate: Certificate, below: readonly Certificate[], search: Search): boolean {
  if (search.roots.anchors.some((anchor) => isSignedBy(certificate, anchor, search))) return true;
  if (below.length === MAX_INTERMEDIATES) return false;
  return search.intermediates.some(
    (issuer) =>
      !below.includes(issuer) &&
      issuer.constraints.isAuthority &&
      below.length <= issuer.constraints.maxIssuersBelow &&
      validityProblem(issuer, search.nowMs) === undefined &&
      isSignedBy(certificate, issuer, search) &&
      isAnchored(issuer, [...below, issuer], search),
  );
}

function isSignedBy(certificate: Certificate, issuer: Certificate, search: Search): boolean {
  if (!certificate.issuer.equals(issuer.subject) || search.checksLeft === 0) return false;
  search.checksLeft--;
  try {
    return certificate.x509.verify(issuer.x509.publicKey);
  } catch {
    // A key of a kind that OpenSSL does not know has signed nothing that counts.
    return false;
  }
}
