/**
 * Which length rule holds for a message body: the decisions that request smuggling lives on, as plain functions.
 *
 * Source: RFC 9112 section 6.3; DEV-2 for what is refused beyond it.
 */

/** How the end of a body is found. Numbers, because they are switched on for every read. */
export const BodyKind = {
  none: 0,
  length: 1,
  chunked: 2,
  /** Until the connection's end; also the raw bytes of a tunnel. */
  untilClose: 3,
} as const;
export type BodyKind = (typeof BodyKind)[keyof typeof BodyKind];

/** No content-length was given. */
export const NO_LENGTH = -1;

/** What the Transfer-Encoding lines of a head add up to. */
export const Codings = {
  none: 0,
  chunked: 1,
  /** Codings that we do not know, and not (yet) chunked at the end. */
  open: 2,
  /** Codings that we do not know, with chunked at the end: legal, but not for us to undo. */
  unsupported: 3,
  malformed: 4,
} as const;
export type Codings = (typeof Codings)[keyof typeof Codings];

/**
 * The codings after one more Transfer-Encoding line.
 *
 * @param lenient takes `chunked` after `chunked`, as hyper does (the other value of DEV-2).
 */
export function addCodings(before: Codings, value: string, lenient: boolean): Codings {
  if (before === Codings.none && value === "chunked") return Codings.chunked;
  let codings: Codings = before;
  for (const element of value.split(",")) {
    const coding = trimBlanks(element).toLowerCase();
    if (codings === Codings.chunked && lenient && coding === "chunked") continue;
    if (codings === Codings.chunked || codings === Codings.unsupported || !isToken(coding))
      return Codings.malformed;
    if (coding === "chunked") codings = codings === Codings.none ? Codings.chunked : Codings.unsupported;
    else codings = Codings.open;
  }
  return codings;
}

/** A Content-Length: decimal digits only, exact up to 2^53-1; -1 for anything else. */
export function parseContentLength(text: string): number {
  if (text.length === 0) return NO_LENGTH;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return NO_LENGTH;
    value = value * 10 + digit;
    if (value > Number.MAX_SAFE_INTEGER) return NO_LENGTH;
  }
  return value;
}

/** Whether a response to this request with this status never has a body, whatever its fields say. */
export function isBodiless(isHead: boolean, status: number): boolean {
  return isHead || status === 204 || status === 304 || status < 200;
}

/** The length rule of a response with a body. */
export function responseBodyKind(chunked: boolean, contentLength: number): BodyKind {
  if (chunked) return BodyKind.chunked;
  if (contentLength === 0) return BodyKind.none;
  return contentLength > 0 ? BodyKind.length : BodyKind.untilClose;
}

function trimBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(char: number): boolean {
  return char === 0x20 || char === 0x09;
}

/** Letters, digits and hyphens are all that the registered codings use; quotes and parameters are refused with the rest. */
function isToken(text: string): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    const isLetter = char >= 0x61 && char <= 0x7a;
    if (!isLetter && !(char >= 0x30 && char <= 0x39) && char !== 0x2d) return false;
  }
  return true;
}
