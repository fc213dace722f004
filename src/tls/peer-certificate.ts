import type { TLSSocket } from "node:tls";
import { MAX_INTERMEDIATES_SENT, type CertChain } from "../identity/cert-chain.ts";
import { certificateOf, type Certificate } from "../identity/certificate.ts";
import { idEquals, type Id } from "../identity/id.ts";
import type { TrustRoots } from "../identity/trust-roots.ts";
import { parsed } from "../parsed.ts";
import { verifyChain, type CertificateFault, type Purpose } from "../identity/verify-chain.ts";
import { wallMs } from "../time/clock.ts";
import { HandshakeError, type HandshakeFault } from "./handshake-error.ts";

/**
 * Whom a client speaks for: the first usable name of its leaf. Undefined if it presented no certificate, or one that
 * names nobody.
 *
 * @param secured a server's end of a finished handshake, nothing of which has been passed on.
 * @throws HandshakeError for a certificate that does not verify: its owner must not pass for a client without one.
 */
export function clientIdOf(secured: TLSSocket, roots: TrustRoots): Id | undefined {
  return verified(secured, roots, "client")?.ids[0];
}

/**
 * Makes sure that a server is `expected`. A DNS-like identity is compared exactly: wildcards, the subject's common name
 * and the name in SNI mean nothing.
 *
 * @param secured a client's end of a finished handshake, on which nothing has been written.
 * @throws HandshakeError `tls_identity` if the certificate is somebody else's, `io` if it could be nobody's.
 *
 * Source: linkerd2-proxy, linkerd/meshtls/verifier/src/lib.rs.
 */
export function checkServerId(secured: TLSSocket, roots: TrustRoots, expected: Id): void {
  const leaf = verified(secured, roots, "server");
  if (leaf === undefined) throw refused("server", "unusable", "it presented none");
  if (leaf.ids.some((id) => idEquals(id, expected))) return;
  const presented = leaf.ids.slice(0, MAX_IDS_NAMED).map((id) => id.text);
  const named = presented.length === 0 ? "none" : presented.join(", ");
  throw new HandshakeError(
    "wrong_identity",
    "tls_identity",
    `certificate does not match TLS identity: expected ${expected.text}, presented ${named}`,
    { side: "upstream" },
  );
}

/** A peer decides how many names its certificate has; an error names the first few. */
const MAX_IDS_NAMED = 4;

/** Of all that a peer sends (TL-23). */
const MAX_CHAIN_BYTES = 64 * 1024;

/** The leaf of a peer whose chain leads to `roots`; undefined if it presented none. */
function verified(secured: TLSSocket, roots: TrustRoots, of: Purpose): Certificate | undefined {
  const known = knownIssuers(roots);
  const chain = presentedChain(secured, of, known);
  if (chain === undefined) return undefined;
  const verdict = verifyChain(chain, roots, wallMs(), of);
  if (verdict.ok) {
    keep(chain.intermediates, known);
    return chain.leaf;
  }
  const [claimed] = chain.leaf.ids;
  const whose = claimed === undefined ? "" : ` (it claims to be ${claimed.text.slice(0, MAX_ID_CHARACTERS)})`;
  throw refused(of, verdict.fault, verdict.problem + whose);
}

/** As long as a DNS name may be; a URI has no bound of its own. */
const MAX_ID_CHARACTERS = 253;

/** What the peer sent, in its order. Node follows the list that was sent, and not who signed whom. */
function presentedChain(secured: TLSSocket, of: Purpose, known: KnownIssuers): CertChain | undefined {
  const first = secured.getPeerX509Certificate();
  if (first === undefined) return undefined;
  const leaf = certificateOf(first);
  if (!leaf.ok) throw refused(of, "unusable", leaf.problem);
  const intermediates: Certificate[] = [];
  let bytes = first.raw.length;
  let count = 0;
  for (let next = first.issuerCertificate; next !== undefined; next = next.issuerCertificate) {
    const der = next.raw;
    bytes += der.length;
    if (++count > MAX_INTERMEDIATES_SENT || bytes > MAX_CHAIN_BYTES) {
      const bound = `${MAX_INTERMEDIATES_SENT} issuers and ${MAX_CHAIN_BYTES / 1024} KiB`;
      throw refused(of, "unusable", `it comes with more than ${bound}`);
    }
    const kept = known.get(der.toString("latin1"));
    // One that cannot be read is of no use to any path; the others may be.
    const issuer = kept === undefined ? certificateOf(next) : parsed(kept);
    if (issuer.ok) intermediates.push(issuer.value);
  }
  return { leaf: leaf.value, intermediates };
}

/** Issuers by their bytes, read once: every peer sends the same. */
type KnownIssuers = Map<string, Certificate>;

const knownOf = new WeakMap<TrustRoots, KnownIssuers>();

function knownIssuers(roots: TrustRoots): KnownIssuers {
  let known = knownOf.get(roots);
  if (known === undefined) knownOf.set(roots, (known = new Map()));
  return known;
}

/** Only of chains that verified: strangers must not fill the memory, nor push out what others need. */
function keep(issuers: readonly Certificate[], known: KnownIssuers): void {
  for (const issuer of issuers) {
    const key = issuer.der.toString("latin1");
    if (known.has(key)) continue;
    // Every rotation leaves some behind.
    if (known.size >= MAX_KNOWN_ISSUERS) known.clear();
    known.set(key, issuer);
  }
}

const MAX_KNOWN_ISSUERS = 64;

function refused(of: Purpose, fault: CertificateFault, problem: string): HandshakeError {
  const kind: HandshakeFault = `certificate_${fault}`;
  const side = of === "client" ? "downstream" : "upstream";
  return new HandshakeError(kind, "io", `${of} certificate refused: ${problem}`, { side });
}
