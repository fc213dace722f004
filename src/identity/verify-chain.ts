import { isBelieved } from "./signature-algorithms.ts";
import type { CertChain } from "./cert-chain.ts";
import type { Certificate } from "./certificate.ts";
import { nameConstraintProblem } from "./name-constraints.ts";
import { OID_CLIENT_AUTH, OID_SERVER_AUTH } from "./oids.ts";
import type { TrustRoots } from "./trust-roots.ts";

/** In which role the owner of the leaf presents it. */
export type Purpose = "client" | "server";

/**
 * What is wrong with a certificate: its dates, that nobody we trust vouches for it, or that it cannot be used for what it
 * is presented for. Label values.
 */
export type CertificateFault = "expired" | "not_yet_valid" | "untrusted" | "unusable";

/** Whether a chain is good, and if not, why: in words, and as one of a few kinds. */
export type ChainVerdict = { readonly ok: true } | ({ readonly ok: false } & ChainProblem);

export interface ChainProblem {
  readonly fault: CertificateFault;
  readonly problem: string;
}

/** Issuers between leaf and anchor. Source: webpki, src/verify_cert.rs. */
const MAX_INTERMEDIATES = 6;

/** Signature checks spent on one chain, so that a pile of equal-named issuers costs a bounded time. */
const MAX_SIGNATURE_CHECKS = 64;

const GOOD: ChainVerdict = { ok: true };

const UNTRUSTED: ChainProblem = {
  fault: "untrusted",
  problem: "certificate does not chain to the trust anchors",
};

/**
 * Whether `chain` leads from its leaf to one of `roots` at wall time `nowMs`: the one judge of our own certificates and
 * of those of peers, so that nobody is refused here who passes there.
 *
 * The rules are webpki's: an anchor is a name, a key and its name constraints, its dates do not matter; issuers are sent
 * along, at most six between leaf and anchor; they must be authorities, valid, within their path length and name
 * constraints; the leaf must be none. Key usage is ignored, nothing is asked of revocation services.
 *
 * A problem of the leaf itself is told first, else why the last of the paths that were tried ended.
 */
export function verifyChain(
  chain: CertChain,
  roots: TrustRoots,
  nowMs: number,
  purpose: Purpose,
): ChainVerdict {
  const problem = leafProblem(chain.leaf, purpose) ?? certificateProblem(chain.leaf, nowMs);
  if (problem !== undefined) return { ok: false, ...problem };
  return search(chain.leaf, chain.intermediates, roots, nowMs, purpose);
}

/** Whether `issuer` may, at wall time `nowMs`, sign certificates that lead to one of `roots` without further help. */
export function verifyIssuer(issuer: Certificate, roots: TrustRoots, nowMs: number): ChainVerdict {
  if (!issuer.constraints.isAuthority) {
    return { ok: false, fault: "unusable", problem: "certificate does not belong to an authority" };
  }
  const problem = certificateProblem(issuer, nowMs);
  if (problem !== undefined) return { ok: false, ...problem };
  if (roots.anchors.some((anchor) => anchor.der.equals(issuer.der))) return GOOD;
  return search(issuer, [], roots, nowMs, undefined);
}

function search(
  certificate: Certificate,
  intermediates: readonly Certificate[],
  roots: TrustRoots,
  nowMs: number,
  purpose: Purpose | undefined,
): ChainVerdict {
  const checksLeft = MAX_SIGNATURE_CHECKS;
  const state: Search = { nowMs, purpose, roots, intermediates, checksLeft, problem: UNTRUSTED };
  return isAnchored(certificate, [certificate], state) ? GOOD : { ok: false, ...state.problem };
}

/** What makes a certificate unusable for the end of a connection, whoever signed it; undefined if nothing does. */
function leafProblem(leaf: Certificate, purpose: Purpose): ChainProblem | undefined {
  if (leaf.constraints.isAuthority) {
    return unusable("certificate belongs to an authority and cannot be used as a leaf");
  }
  return isMeantFor(leaf, purpose) ? undefined : unusable(`certificate is not meant for a TLS ${purpose}`);
}

function isMeantFor({ extKeyUsage }: Certificate, purpose: Purpose): boolean {
  return extKeyUsage === undefined || extKeyUsage.includes(PURPOSE_OID[purpose]);
}

const PURPOSE_OID = { client: OID_CLIENT_AUTH, server: OID_SERVER_AUTH } as const;

/** What is wrong with a leaf or an issuer by itself. */
function certificateProblem(certificate: Certificate, nowMs: number): ChainProblem | undefined {
  if (certificate.version !== 3) {
    return unusable(`certificate of X.509 version ${certificate.version}, expected 3`);
  }
  if (certificate.unknownCritical !== undefined) {
    return unusable(`certificate with the unknown critical extension ${certificate.unknownCritical}`);
  }
  if (nowMs < certificate.notBeforeMs) {
    const from = new Date(certificate.notBeforeMs).toISOString();
    return { fault: "not_yet_valid", problem: `certificate is not valid before ${from}` };
  }
  if (nowMs > certificate.notAfterMs) {
    const end = new Date(certificate.notAfterMs).toISOString();
    return { fault: "expired", problem: `certificate expired at ${end}` };
  }
  return undefined;
}

function unusable(problem: string): ChainProblem {
  return { fault: "unusable", problem };
}

interface Search {
  readonly nowMs: number;
  /** Of the leaf; undefined: there is none yet. */
  readonly purpose: Purpose | undefined;
  readonly roots: TrustRoots;
  readonly intermediates: readonly Certificate[];
  checksLeft: number;
  /** Why the last path that was tried ended. */
  problem: ChainProblem;
}

/** @param path from the leaf up to and including `certificate`. */
function isAnchored(certificate: Certificate, path: readonly Certificate[], state: Search): boolean {
  for (const anchor of state.roots.anchors) {
    if (!isSignedBy(certificate, anchor, state)) continue;
    const problem = constraintProblem(anchor, path);
    if (problem === undefined) return true;
    state.problem = problem;
  }
  const issuersBelow = path.length - 1;
  if (issuersBelow === MAX_INTERMEDIATES) return false;
  for (const issuer of state.intermediates) {
    if (path.includes(issuer) || !isSignedBy(certificate, issuer, state)) continue;
    const problem = issuerProblem(issuer, issuersBelow, state) ?? constraintProblem(issuer, path);
    if (problem !== undefined) state.problem = problem;
    else if (isAnchored(issuer, [...path, issuer], state)) return true;
  }
  return false;
}

function issuerProblem(issuer: Certificate, issuersBelow: number, state: Search): ChainProblem | undefined {
  if (!issuer.constraints.isAuthority) return unusable("an issuer's certificate is not that of an authority");
  if (issuersBelow > issuer.constraints.maxIssuersBelow) {
    return unusable("an issuer has more issuers below it than its certificate allows");
  }
  if (state.purpose !== undefined && !isMeantFor(issuer, state.purpose)) {
    return unusable(`an issuer's certificate is not meant for a TLS ${state.purpose}`);
  }
  const problem = certificateProblem(issuer, state.nowMs);
  return problem === undefined ? undefined : { ...problem, problem: `an issuer's ${problem.problem}` };
}

/** Whether every certificate below an issuer has names that it may certify. */
function constraintProblem(issuer: Certificate, below: readonly Certificate[]): ChainProblem | undefined {
  if (issuer.nameConstraints === undefined) return undefined;
  for (const { names } of below) {
    const problem = nameConstraintProblem(names, issuer.nameConstraints);
    if (problem !== undefined) return unusable(problem);
  }
  return undefined;
}

function isSignedBy(certificate: Certificate, issuer: Certificate, state: Search): boolean {
  if (!certificate.issuer.equals(issuer.subject)) return false;
  if (checked.get(certificate)?.has(issuer) === true) return true;
  if (state.checksLeft === 0) return false;
  state.checksLeft--;
  if (!hasSigned(issuer, certificate)) return false;
  if (certificate.constraints.isAuthority) remember(certificate, issuer);
  return true;
}

function hasSigned(issuer: Certificate, certificate: Certificate): boolean {
  try {
    const key = issuer.x509.publicKey;
    return isBelieved(certificate.signatureAlgorithm, key) && certificate.x509.verify(key);
  } catch {
    // A key of a kind that OpenSSL does not know has signed nothing that counts.
    return false;
  }
}

/**
 * Signatures of issuers that were found good. A signature stays good, and all peers come with the same few issuers: whoever
 * keeps these certificates spares every handshake but the first that check.
 */
const checked = new WeakMap<Certificate, WeakSet<Certificate>>();

function remember(certificate: Certificate, issuer: Certificate): void {
  const issuers = checked.get(certificate);
  if (issuers === undefined) checked.set(certificate, new WeakSet([issuer]));
  else issuers.add(issuer);
}
