import { X509Certificate } from "node:crypto";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseCertificate, type Certificate } from "./certificate.ts";

/** The trust anchors: fixed for the life of the process, and the only source of trust. */
export interface TrustRoots {
  readonly anchors: readonly Certificate[];
  /** The anchors as PEM written by us, one by one: what `node:tls` takes. */
  readonly pem: readonly string[];
}

/** Roots and what was left out of the bundle, in words for a warning each. */
export interface TrustRootsReading {
  readonly roots: TrustRoots;
  readonly warnings: readonly string[];
}

/**
 * Reads a PEM bundle. Text around the certificates is a comment; an unusable certificate is skipped with a warning; a
 * bundle without a usable one is a problem. An anchor may be an intermediate, and may be listed twice.
 */
export function parseTrustRoots(bundle: string): Parsed<TrustRootsReading> {
  const anchors: Certificate[] = [];
  const warnings: string[] = [];
  let position = 0;
  for (const block of pemBlocks(bundle)) {
    position++;
    const certificate = block === undefined ? unparsed("no END line") : certificateOfPem(block);
    if (!certificate.ok) warnings.push(`trust anchor ${position} skipped: ${certificate.problem}`);
    else if (!anchors.some((anchor) => anchor.der.equals(certificate.value.der)))
      anchors.push(certificate.value);
  }
  if (anchors.length === 0) {
    return unparsed(
      position === 0
        ? "no PEM certificate in the trust anchors"
        : `no usable trust anchor (${warnings.join("; ")})`,
    );
  }
  const roots: TrustRoots = { anchors, pem: anchors.map((anchor) => anchor.x509.toString()) };
  return parsed({ roots, warnings });
}

const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";

/** The certificates of a bundle with their border lines; undefined for one that never ends. */
function* pemBlocks(bundle: string): Generator<string | undefined> {
  let begin = bundle.indexOf(BEGIN);
  while (begin >= 0) {
    const next = bundle.indexOf(BEGIN, begin + BEGIN.length);
    const end = bundle.indexOf(END, begin);
    const isClosed = end >= 0 && (next < 0 || end < next);
    yield isClosed ? bundle.slice(begin, end + END.length) : undefined;
    begin = next;
  }
}

function certificateOfPem(block: string): Parsed<Certificate> {
  let der: Buffer;
  try {
    der = new X509Certificate(block).raw;
  } catch {
    return unparsed("not an X.509 certificate");
  }
  return parseCertificate(der);
}
