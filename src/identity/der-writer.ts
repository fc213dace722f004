import asn1 from "node-forge/lib/asn1.js";

/**
 * Writing DER (X.690): every function returns one complete element, ready to be put inside another.
 *
 * Only what CSRs and certificates need. Nothing here is on a hot path.
 */
export function sequence(...elements: readonly Buffer[]): Buffer {
  return constructed(UNIVERSAL, 16, Buffer.concat(elements));
}

/** A SET OF with one member, the only kind X.509 attributes and names here use: with one member DER's ordering rule is moot. */
export function setOfOne(element: Buffer): Buffer {
  return constructed(UNIVERSAL, 17, element);
}

/** `[number]` around complete elements (EXPLICIT, or IMPLICIT over a constructed type). */
export function contextConstructed(number: number, content: Buffer): Buffer {
  return constructed(CONTEXT, number, content);
}

/** `[number]` over a primitive type (IMPLICIT): `content` is the bare content. */
export function contextPrimitive(number: number, content: Buffer): Buffer {
  return primitive(CONTEXT, number, content);
}

/** @param dotted for instance `2.5.29.17`. */
export function oid(dotted: string): Buffer {
  return primitive(UNIVERSAL, 6, latin1(asn1.oidToDer(dotted).getBytes()));
}

export function smallInteger(value: number): Buffer {
  return primitive(UNIVERSAL, 2, latin1(asn1.integerToDer(value).getBytes()));
}

/** A non-negative INTEGER from its big-endian bytes; leading zeros are dropped and a sign byte is added where needed. */
export function unsignedInteger(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  const signed = (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits;
  return primitive(UNIVERSAL, 2, signed);
}

export function booleanTrue(): Buffer {
  return primitive(UNIVERSAL, 1, Buffer.of(0xff));
}

export function octetString(content: Buffer): Buffer {
  return primitive(UNIVERSAL, 4, content);
}

/** @param unusedBits how many of the lowest bits of the last byte do not count. */
export function bitString(content: Buffer, unusedBits = 0): Buffer {
  return primitive(UNIVERSAL, 3, Buffer.concat([Buffer.of(unusedBits), content]));
}

export function utf8String(text: string): Buffer {
  return primitive(UNIVERSAL, 12, Buffer.from(text, "utf8"));
}

/** A time of whole seconds as RFC 5280 section 4.1.2.5 wants it: UTCTime through 2049, GeneralizedTime from 2050. */
export function time(atMs: number): Buffer {
  const date = new Date(atMs);
  return date.getUTCFullYear() < 2050
    ? primitive(UNIVERSAL, 23, latin1(asn1.dateToUtcTime(date)))
    : primitive(UNIVERSAL, 24, latin1(asn1.dateToGeneralizedTime(date)));
}

const UNIVERSAL = 0x00;
const CONTEXT = 0x80;
const CONSTRUCTED_BIT = 0x20;

function primitive(tagClass: number, tag: number, content: Buffer): Buffer {
  // The class travels inside the number: the library would take [2] for an INTEGER and trim its leading zeros.
  const element = asn1.create(UNIVERSAL, tagClass | tag, false, content.toString("latin1"));
  return latin1(asn1.toDer(element).getBytes());
}

/** The content is already DER, so it is handed over as bytes rather than as a tree. */
function constructed(tagClass: number, tag: number, content: Buffer): Buffer {
  return primitive(tagClass, tag | CONSTRUCTED_BIT, content);
}

function latin1(bytes: string): Buffer {
  return Buffer.from(bytes, "latin1");
}
