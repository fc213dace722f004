import { BAD_IN_NAME, BAD_IN_VALUE, FIELD_BYTES } from "../field-bytes.ts";
import {
  headerField,
  HeaderName,
  headerName,
  internField,
  NameRole,
  type HeaderField,
} from "../header-field.ts";
import { LineTable, viewOf, type KnownLine } from "./line-table.ts";

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

/** A field line that was seen before, without its line end. @param hash as of `parseFieldLine`. */
export function knownFieldLine(
  buffer: Buffer,
  start: number,
  end: number,
  hash: number,
): KnownLine<HeaderField> | undefined {
  return fieldLines.find(buffer, start, end, hash);
}

/**
 * One field line, without its line end, as a field; undefined if it is malformed. Lines that come again are soon known.
 *
 * The name is lower-cased, the value loses blanks at its edges and is otherwise kept byte for byte. Refused: an empty
 * name, blanks before the colon or at the start of the line (obsolete folding), bytes outside of a token in the name,
 * control characters other than tab in the value.
 *
 * @param hash `hashLine` of any range that is a function of the line, always the same one.
 * @param likely a name that the line probably begins with, its colon included: it need not be read again.
 *
 * Source: RFC 9112 section 5.
 */
export function parseFieldLine(
  buffer: Buffer,
  start: number,
  end: number,
  hash: number,
  likely?: KnownLine<HeaderName>,
): HeaderField | undefined {
  let name: HeaderName | undefined;
  let from = end;
  if (likely !== undefined && start + likely.length <= end && likely.isAt(viewOf(buffer), start)) {
    name = likely.value;
    from = start + likely.length;
  } else {
    name = readName(buffer, start, end);
    if (name === undefined) return undefined;
    from = start + name.text.length + 1;
  }
  let to = end;
  while (from < to && isBlank(buffer[from])) from++;
  while (to > from && isBlank(buffer[to - 1])) to--;
  for (let i = from; i < to; i++) {
    if (((FIELD_BYTES[buffer[i] ?? 0] ?? BAD_IN_VALUE) & BAD_IN_VALUE) !== 0) return undefined;
  }
  const value = buffer.toString("latin1", from, to);
  if (!fieldLines.admits(end - start, hash)) return headerField(name, value);
  const field = internField(name, value);
  fieldLines.keep(buffer, start, end, hash, field);
  return field;
}

/** The name before the first colon; undefined if that is no token. */
function readName(buffer: Buffer, start: number, end: number): HeaderName | undefined {
  let colon = start;
  let upper = false;
  for (; colon < end; colon++) {
    const byte = buffer[colon] ?? 0;
    if (TOKEN_BYTES[byte] !== 1) break;
    if (byte >= 0x41 && byte <= 0x5a) upper = true;
  }
  if (colon === start || colon === end || buffer[colon] !== COLON) return undefined;
  const text = buffer.toString("latin1", start, colon);
  return nameOf(upper ? text.toLowerCase() : text);
}

/** Longer names are not worth remembering: the table of names is bounded by count, not by bytes. */
const NAME_BYTES_MAX = 128;

function nameOf(text: string): HeaderName {
  return text.length <= NAME_BYTES_MAX ? headerName(text) : new HeaderName(text, NameRole.ordinary);
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
