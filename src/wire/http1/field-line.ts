import { BAD_IN_NAME, BAD_IN_VALUE, FIELD_BYTES } from "../field-bytes.ts";
import {
  headerField,
  HeaderName,
  headerName,
  internField,
  NameRole,
  type HeaderField,
} from "../header-field.ts";
import { LineTable } from "./line-table.ts";

const COLON = 0x3a;
const SPACE = 0x20;
const TAB = 0x09;

/** Field lines remembered by the process: more than the applications of one host use, less than 1 MB. */
const FIELD_LINES = 2_048;
const fieldLines = new LineTable<HeaderField>(FIELD_LINES);

/** 1 for bytes of a token, of either case (RFC 9110 section 5.6.2). */
export const TOKEN_BYTES: Uint8Array = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
  if (((FIELD_BYTES[lower] ?? 0) & BAD_IN_NAME) === 0) TOKEN_BYTES[byte] = 1;
}

/**
 * One field line, without its line end, as a field; undefined if it is malformed.
 *
 * The name is lower-cased, the value loses blanks at its edges and is otherwise kept byte for byte. Refused: an empty
 * name, blanks before the colon or at the start of the line (obsolete folding), bytes outside of a token in the name,
 * control characters other than tab in the value.
 *
 * @param hash `hashLine` of any range that is a function of the line, always the same one.
 *
 * Source: RFC 9112 section 5.
 */
export function parseFieldLine(
  buffer: Buffer,
  start: number,
  end: number,
  hash: number,
): HeaderField | undefined {
  const known = fieldLines.find(buffer, start, end, hash);
  if (known !== undefined) return known;
  let colon = start;
  let upper = false;
  for (; colon < end; colon++) {
    const byte = buffer[colon] ?? 0;
    if (TOKEN_BYTES[byte] !== 1) break;
    if (byte >= 0x41 && byte <= 0x5a) upper = true;
  }
  if (colon === start || colon === end || buffer[colon] !== COLON) return undefined;
  let from = colon + 1;
  let to = end;
  while (from < to && isBlank(buffer[from])) from++;
  while (to > from && isBlank(buffer[to - 1])) to--;
  for (let i = from; i < to; i++) {
    if (((FIELD_BYTES[buffer[i] ?? 0] ?? BAD_IN_VALUE) & BAD_IN_VALUE) !== 0) return undefined;
  }
  const text = buffer.toString("latin1", start, colon);
  const name = nameOf(upper ? text.toLowerCase() : text);
  const value = buffer.toString("latin1", from, to);
  if (!fieldLines.admits(end - start, hash)) return headerField(name, value);
  const field = internField(name, value);
  fieldLines.keep(buffer, start, end, hash, field);
  return field;
}

/** Longer names are not worth remembering: the table of names is bounded by count, not by bytes. */
const NAME_BYTES_MAX = 128;

function nameOf(text: string): HeaderName {
  return text.length <= NAME_BYTES_MAX ? headerName(text) : new HeaderName(text, NameRole.ordinary);
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
