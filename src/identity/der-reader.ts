/** One element of DER: its tag byte and where its content lies in `buffer`. */
export interface DerElement {
  /** Identifier octet: class, constructed bit and number (0 to 30). */
  readonly tag: number;
  readonly content: Buffer;
  /** The whole element with its header. */
  readonly whole: Buffer;
}

/**
 * Splits `buffer` into the elements that follow one another in it; undefined if it is not made of whole DER elements.
 *
 * Strict where leniency would let two readers see different things: definite and shortest lengths only, tag numbers
 * up to 30 only, nothing left over. The work is linear in the elements of one level and never recursive.
 */
export function readElements(buffer: Buffer): DerElement[] | undefined {
  const elements: DerElement[] = [];
  let at = 0;
  while (at < buffer.length) {
    const element = readElement(buffer, at);
    if (element === undefined) return undefined;
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

/** The children of the one element that `buffer` must consist of, if it has this tag. */
export function readConstructed(buffer: Buffer, tag: number): DerElement[] | undefined {
  const element = readElement(buffer, 0);
  if (element === undefined || element.tag !== tag || element.whole.length !== buffer.length)
    return undefined;
  return readElements(element.content);
}

/** The element that starts at `at`, which may be followed by others; undefined if it is malformed or cut short. */
export function readElement(buffer: Buffer, at: number): DerElement | undefined {
  const tag = buffer[at];
  const first = buffer[at + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > MAX_LENGTH_BYTES || start + size > buffer.length) return undefined;
    length = buffer.readUIntBE(start, size);
    start += size;
    const isShortest = length >= 0x80 && length >= 2 ** (8 * (size - 1));
    if (!isShortest) return undefined;
  }
  const end = start + length;
  if (end > buffer.length) return undefined;
  return { tag, content: buffer.subarray(start, end), whole: buffer.subarray(at, end) };
}

export const DER_BOOLEAN = 0x01;
export const DER_INTEGER = 0x02;
export const DER_BIT_STRING = 0x03;
export const DER_OCTET_STRING = 0x04;
export const DER_OID = 0x06;
export const DER_SEQUENCE = 0x30;
export const DER_SET = 0x31;

/** Lengths of up to 2^32-1 bytes; certificates are far below. */
const MAX_LENGTH_BYTES = 4;

/** The dotted form of an OBJECT IDENTIFIER's content; undefined for an arc that is cut short, padded or above 2^31. */
export function readOid(content: Buffer): string | undefined {
  const arcs: number[] = [];
  let arc = 0;
  let isInsideArc = false;
  for (const byte of content) {
    if (!isInsideArc && byte === 0x80) return undefined;
    arc = arc * 128 + (byte & 0x7f);
    if (arc >= 2 ** 31) return undefined;
    isInsideArc = byte >= 0x80;
    if (isInsideArc) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first, ...rest] = arcs;
  if (first === undefined || isInsideArc) return undefined;
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - 40 * root, ...rest].join(".");
}
