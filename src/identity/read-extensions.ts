import {
  DER_BOOLEAN,
  DER_INTEGER,
  DER_OCTET_STRING,
  DER_OID,
  DER_SEQUENCE,
  readConstructed,
  readElements,
  readOid,
} from "./der-reader.ts";

/** One extension of a certificate or request. */
export interface Extension {
  /** Whoever does not understand it must refuse the certificate. */
  readonly critical: boolean;
  /** The content of its OCTET STRING. */
  readonly value: Buffer;
}

/** The extensions of a certificate or request by dotted object identifier. */
export type Extensions = ReadonlyMap<string, Extension>;

/**
 * Reads an `Extensions` element (RFC 5280, section 4.1); undefined if it is malformed or names an extension twice.
 *
 * Twice is refused because two readers could pick different ones.
 */
export function readExtensions(element: Buffer): Extensions | undefined {
  const found = new Map<string, Extension>();
  const extensions = readConstructed(element, DER_SEQUENCE);
  if (extensions === undefined) return undefined;
  for (const { tag, content } of extensions) {
    const parts = tag === DER_SEQUENCE ? readElements(content) : undefined;
    const [id, second, third] = parts ?? [];
    const value = second?.tag === DER_BOOLEAN ? third : second;
    if (id?.tag !== DER_OID || value?.tag !== DER_OCTET_STRING) return undefined;
    const dotted = readOid(id.content);
    if (dotted === undefined || found.has(dotted)) return undefined;
    // DER leaves the default, not critical, out; a written FALSE is understood all the same.
    const critical = second?.tag === DER_BOOLEAN && second.content[0] !== 0;
    found.set(dotted, { critical, value: value.content });
  }
  return found;
}

/** What basicConstraints says: no authority, or one that allows this many issuers below it. */
export type BasicConstraints =
  | { readonly isAuthority: false }
  | { readonly isAuthority: true; readonly maxIssuersBelow: number };

/** Reads the value of a basicConstraints extension; undefined if malformed. An absent path length is `Infinity`. */
export function readBasicConstraints(value: Buffer): BasicConstraints | undefined {
  const parts = readConstructed(value, DER_SEQUENCE);
  if (parts === undefined || parts.length > 2) return undefined;
  const [flag, pathLen] = parts;
  if (flag === undefined) return { isAuthority: false };
  if (flag.tag !== DER_BOOLEAN || flag.content.length !== 1) return undefined;
  if (flag.content[0] === 0) return { isAuthority: false };
  if (pathLen === undefined) return { isAuthority: true, maxIssuersBelow: Infinity };
  const [limit] = pathLen.content;
  // One byte is far more than any chain is long; a longer or negative number is not worth understanding.
  if (pathLen.tag !== DER_INTEGER || pathLen.content.length !== 1 || limit === undefined || limit > 127) {
    return undefined;
  }
  return { isAuthority: true, maxIssuersBelow: limit };
}

/** Reads the value of an extKeyUsage extension into dotted object identifiers; undefined if malformed. */
export function readExtKeyUsage(value: Buffer): readonly string[] | undefined {
  const purposes: string[] = [];
  const elements = readConstructed(value, DER_SEQUENCE);
  if (elements === undefined) return undefined;
  for (const { tag, content } of elements) {
    const dotted = tag === DER_OID ? readOid(content) : undefined;
    if (dotted === undefined) return undefined;
    purposes.push(dotted);
  }
  return purposes;
}
