import { parsed, unparsed, type Parsed } from "../../parsed.ts";
import type { Csr } from "../../identity/csr.ts";
import { idEquals, parseId } from "../../identity/id.ts";
import { candidateIds } from "../../identity/certificate.ts";
import type { GeneralName } from "../../identity/subject-alt-name.ts";

/**
 * The one name that a request may be given a certificate for.
 *
 * The rules are the identity controller's: exactly one subject alternative name, equal to the identity that the
 * requester has been authenticated as; a common name, if there is one, must say the same (linkerd2, pkg/identity/service.go).
 * Beyond it a SPIFFE identity is granted as one URI.
 */
export function grantedName(csr: Csr, identity: string): Parsed<GeneralName> {
  const expected = parseId(identity);
  if (!expected.ok) return expected;
  for (const commonName of csr.commonNames) {
    if (commonName !== "" && commonName !== identity) {
      return unparsed(`the request's common name is not the identity ${identity}`);
    }
  }
  const [name, ...more] = csr.names;
  if (name === undefined || more.length > 0) {
    return unparsed(`the request has ${csr.names.length} subject alternative names, expected exactly one`);
  }
  const [id] = candidateIds([name]);
  if (id === undefined || !idEquals(id, expected.value)) {
    return unparsed(`the request's subject alternative name is not the identity ${identity}`);
  }
  // Rewritten from what was understood, so that nothing else the request says reaches the certificate.
  return parsed({ kind: id.kind, text: id.text });
}
