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

/** The whole text of the error, in the model's words, to which the names are added. */
export const IDENTITY_MISMATCH = "certificate does not match TLS identity";

/**
 * Why a server's leaf must not be taken for `expected`; undefined if it may.
 *
 * @param leafDer of a chain that OpenSSL has verified. A DNS-like identity is compared exactly: wildcards, the subject's
 * common name and the name in SNI mean nothing.
 *
 * Source: linkerd2-proxy, linkerd/meshtls/verifier/src/lib.rs.
 */
export function serverIdProblem(leafDer: Buffer, expected: Id): string | undefined {
  const leaf = parseCertificate(leafDer);
  if (!leaf.ok) return leaf.problem;
  const problem = leafProblem(leaf.value, "server");
  if (problem !== undefined) return problem;
  const { ids } = leaf.value;
  if (ids.some((id) => idEquals(id, expected))) return undefined;
  const presented = ids.slice(0, MAX_IDS_NAMED).map((id) => id.text);
  const named = presented.length === 0 ? "none" : presented.join(", ");
  return `${IDENTITY_MISMATCH}: expected ${expected.text}, presented ${named}`;
}

/** A peer decides how many names its certificate has; an error names the first few. */
const MAX_IDS_NAMED = 4;
