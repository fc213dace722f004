import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseCertificate, type Certificate } from "./certificate.ts";
import { DER_SEQUENCE, readElements } from "./der-reader.ts";

/** A leaf and the issuers that its owner sends along, as the identity service or SPIRE hands them out. */
export interface CertChain {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/** Certificates besides the leaf that are looked at: twice what a verified chain may be long, leaving room for spares. */
export const MAX_INTERMEDIATES_SENT = 12;

/** Reads DER certificates. The problem names the one that could not be read. */
export function parseCertChain(leafDer: Buffer, intermediatesDer: readonly Buffer[]): Parsed<CertChain> {
  const leaf = parseCertificate(leafDer);
  if (!leaf.ok) return unparsed(`leaf certificate: ${leaf.problem}`);
  if (intermediatesDer.length > MAX_INTERMEDIATES_SENT) {
    return unparsed(
      `${intermediatesDer.length} intermediate certificates, expected at most ${MAX_INTERMEDIATES_SENT}`,
    );
  }
  const intermediates: Certificate[] = [];
  for (const der of intermediatesDer) {
    const certificate = parseCertificate(der);
    if (!certificate.ok) {
      return unparsed(`intermediate certificate ${intermediates.length + 1}: ${certificate.problem}`);
    }
    intermediates.push(certificate.value);
  }
  return parsed({ leaf: leaf.value, intermediates });
}

/** Splits certificates written one after another, as SPIRE sends them, into leaf and intermediates. */
export function splitCertificates(concatenated: Buffer): Parsed<readonly [leaf: Buffer, ...rest: Buffer[]]> {
  const elements = readElements(concatenated);
  if (elements === undefined || elements.some((element) => element.tag !== DER_SEQUENCE)) {
    return unparsed("not a sequence of DER certificates");
  }
  const [leaf, ...rest] = elements.map((element) => element.whole);
  return leaf === undefined ? unparsed("no certificate") : parsed([leaf, ...rest]);
}
