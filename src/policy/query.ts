import { endOfPath } from "./request-view.ts";

/** Name and value of one query parameter, decoded. */
export type QueryPair = readonly [name: string, value: string];

const NO_PAIRS: readonly QueryPair[] = [];

/**
 * The query parameters of a request target, in order, decoded as `application/x-www-form-urlencoded`: `+` is a blank,
 * bytes that are not UTF-8 become U+FFFD, a parameter without `=` has an empty value.
 *
 * Source: WHATWG URL, section 5.1.
 */
export function queryPairs(target: string): readonly QueryPair[] {
  const start = endOfPath(target) + 1;
  if (start >= target.length) return NO_PAIRS;
  const pairs: QueryPair[] = [];
  for (const piece of target.slice(start).split("&")) {
    if (piece === "") continue;
    const equals = piece.indexOf("=");
    pairs.push(
      equals < 0 ? [decode(piece), ""] : [decode(piece.slice(0, equals)), decode(piece.slice(equals + 1))],
    );
  }
  return pairs;
}

/** Most queries are plain: these characters stand for themselves. */
const PLAIN = /^[!-$&-*,-~]*$/;

function decode(text: string): string {
  if (PLAIN.test(text)) return text;
  const bytes = Buffer.from(text, "latin1");
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    let byte = bytes[i] ?? 0;
    if (byte === PLUS) {
      byte = BLANK;
    } else if (byte === PERCENT) {
      const high = hexDigit(bytes[i + 1]);
      const low = hexDigit(bytes[i + 2]);
      if (high >= 0 && low >= 0) {
        byte = high * 16 + low;
        i += 2;
      }
    }
    bytes[length++] = byte;
  }
  return bytes.toString("utf8", 0, length);
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

const PLUS = 0x2b;
const BLANK = 0x20;
const PERCENT = 0x25;
