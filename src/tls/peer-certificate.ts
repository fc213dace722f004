import { ProxyError } from "../errors/proxy-error.ts";
import { parseCertificate } from "../identity/certificate.ts";
import { idEquals, type Id } from "../identity/id.ts";
import { leafProblem } from "../identity/verify-chain.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";

/**
 * Whom a client's leaf speaks for: its first usable name; undefined if it has none.
 *
 * @param leafDer of a chain that OpenSSL has verified. A problem means that the handshake must fail.
 */
export function clientIdOf(leafDer: Buffer): Parsed<Id | undefined> {
  const leaf = parseCertificate(leafDer);
  if (!leaf.ok) return leaf;
  const problem = leafProblem(leaf.value, "client");
  return problem === undefined ? parsed(leaf.value.ids[0]) : unparsed(problem);
}

/**
 * Why a server's leaf must not be taken for `expected`; undefined if it may. Code `tls_identity` if the certificate is
 * somebody else's, `io` if it could be nobody's.
 *
 * @param leafDer of a chain that OpenSSL has verified. A DNS-like identity is compared exactly: wildcards, the subject's
 * common name and the name in SNI mean nothing.
 *
 * Source: linkerd2-proxy, linkerd/meshtls/verifier/src/lib.rs.
 */
export function serverIdError(leafDer: Buffer, expected: Id): ProxyError | undefined {
  const leaf = parseCertificate(leafDer);
  const problem = leaf.ok ? leafProblem(leaf.value, "server") : leaf.problem;
  if (!leaf.ok || problem !== undefined) {
    return new ProxyError("io", `server certificate refused: ${problem}`, { side: "upstream" });
  }
  const { ids } = leaf.value;
  if (ids.some((id) => idEquals(id, expected))) return undefined;
  const presented = ids.slice(0, MAX_IDS_NAMED).map((id) => id.text);
  const named = presented.length === 0 ? "none" : presented.join(", ");
  return new ProxyError(
    "tls_identity",
    `certificate does not match TLS identity: expected ${expected.text}, presented ${named}`,
    { side: "upstream" },
  );
}

/** A peer decides how many names its certificate has; an error names the first few. */
const MAX_IDS_NAMED = 4;
