/**
 * HPACK decoding: a header block to fields.
 *
 * A field that the peer indexes becomes a shared field (`internField`), so that other connections re-encode it by
 * identity; everything else becomes a field of its own. What is wrong with a field but not with the block (bytes that a
 * name or value may not hold, a list over the limit) leaves the table consistent: one stream fails, the connection lives.
 *
 * Source: RFC 7541 sections 3 to 6.
 */
import { BAD_IN_NAME, BAD_IN_VALUE, FIELD_BYTES } from "../field-bytes.ts";
import { HeaderField, HeaderName, headerName, internField, NameRole } from "../header-field.ts";
import { DynamicTable, ringLength } from "./dynamic-table.ts";
import { huffmanDecode, huffmanDecodedMax } from "./huffman.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "./static-table.ts";

/** How a block ended. A number, because it is asked for every message. */
export const BlockResult = {
  ok: 0,
  /** A name or value holds bytes it may not: the message is malformed, RFC 9113 section 8.2.1. */
  invalidField: 1,
  /** Over a limit of the list; `out` holds what came before. */
  tooLarge: 2,
  /** So far over the limit that decoding was given up; the table is lost. */
  abusive: 3,
  /** Not HPACK; the table is lost: COMPRESSION_ERROR. */
  corrupt: 4,
} as const;
export type BlockResult = (typeof BlockResult)[keyof typeof BlockResult];

/** Bounds of one decoded list. */
export interface ListLimits {
  /** Sum of name + value + 32, bytes. */
  readonly bytes: number;
  /** Sum at which decoding is given up. */
  readonly abuseBytes: number;
  readonly fields: number;
}

/** Marks kept beside each table entry; `REPAIR` means that the value stands between blanks. */
const BAD_NAME = 1;
const BAD_VALUE = 2;
const REPAIR = 4;

/** Huffman strings are decoded here; grows to the longest block ever allowed, shared by all connections. */
let scratch = Buffer.allocUnsafeSlow(4096);

export class HpackDecoder {
  /** What is wrong with the block, after `corrupt`. */
  problem = "";
  readonly #table: DynamicTable;
  readonly #marks: Uint8Array;
  readonly #tableLimit: number;
  /** Where the next byte is read, during a block. */
  #at = 0;
  /** Marks of the string that was read last. */
  #mark = 0;

  /** @param tableLimit our SETTINGS_HEADER_TABLE_SIZE, bytes. */
  constructor(tableLimit: number) {
    this.#tableLimit = tableLimit;
    this.#table = new DynamicTable(tableLimit);
    this.#marks = new Uint8Array(ringLength(tableLimit));
  }

  /** Bytes the peer's table takes now, for tests and metrics. */
  get tableSize(): number {
    return this.#table.size;
  }

  /** Decodes the whole block `buffer[start, end)`, appending fields to `out`. */
  decode(buffer: Buffer, start: number, end: number, out: HeaderField[], limits: ListLimits): BlockResult {
    const table = this.#table;
    let total = 0;
    let result: BlockResult = BlockResult.ok;
    let first = true;
    this.#at = start;
    while (this.#at < end) {
      const byte = buffer[this.#at] ?? 0;
      let field: HeaderField | undefined;
      let marks = 0;
      if (byte >= 0x80) {
        const index = this.#integer(buffer, end, 0x7f);
        if (index < 0) return this.#corrupt("integer too long or cut off");
        if (index <= STATIC_ENTRIES) field = STATIC_TABLE[index - 1];
        else {
          const number = table.inserted - (index - STATIC_ENTRIES);
          field = table.at(number);
          marks = this.#marks[number & (this.#marks.length - 1)] ?? 0;
        }
        if (field === undefined) return this.#corrupt(`no entry at index ${index}`);
      } else if (byte >= 0x20 && byte < 0x40) {
        if (!first) return this.#corrupt("table size update after the first field");
        const limit = this.#integer(buffer, end, 0x1f);
        if (limit < 0) return this.#corrupt("integer too long or cut off");
        if (limit > this.#tableLimit)
          return this.#corrupt(`table size ${limit} is above ${this.#tableLimit}`);
        table.limit = limit;
        while (table.size > limit) table.dropOldest();
        continue;
      } else {
        const indexed = byte >= 0x40;
        const name = this.#name(buffer, end, indexed ? 0x3f : 0x0f);
        if (name === undefined) return this.#corrupt(this.problem);
        marks = this.#mark;
        const value = this.#text(buffer, end, BAD_IN_VALUE, 0);
        if (value === undefined) return this.#corrupt(this.problem);
        marks |= this.#mark;
        if (indexed) {
          field = marks === 0 ? internField(name, value) : new HeaderField(name, value);
          this.#insert(field, marks);
        } else {
          field = new HeaderField(name, value);
          field.neverIndex = byte >= 0x10;
        }
      }
      first = false;
      total += field.size;
      if (total > limits.bytes || out.length >= limits.fields) {
        // The rest is still decoded, for the sake of the table, but nothing of it is kept.
        if (total > limits.abuseBytes) return BlockResult.abusive;
        result = BlockResult.tooLarge;
      } else if (marks === 0) out.push(field);
      else if ((marks & (BAD_NAME | BAD_VALUE)) !== 0) {
        if (result === BlockResult.ok) result = BlockResult.invalidField;
      } else out.push(repaired(field));
    }
    return result;
  }

  #corrupt(problem: string): BlockResult {
    this.problem = problem;
    return BlockResult.corrupt;
  }

  #insert(field: HeaderField, marks: number): void {
    const table = this.#table;
    // A field larger than the table empties it, which is no error (RFC 7541 section 4.4).
    while (table.count > 0 && table.size + field.size > table.limit) table.dropOldest();
    if (field.size > table.limit) return;
    this.#marks[table.insert(field) & (this.#marks.length - 1)] = marks;
  }

  /** An integer with a prefix of the bits of `mask`; -1 if it is cut off or longer than four more bytes (2^28). */
  #integer(buffer: Buffer, end: number, mask: number): number {
    let value = (buffer[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= end) return -1;
      const byte = buffer[this.#at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** The name of a literal, by index or spelled out; leaves its marks in `#mark`. */
  #name(buffer: Buffer, end: number, mask: number): HeaderName | undefined {
    const index = this.#integer(buffer, end, mask);
    this.#mark = 0;
    if (index > 0) {
      if (index <= STATIC_ENTRIES) return STATIC_TABLE[index - 1]?.name;
      const number = this.#table.inserted - (index - STATIC_ENTRIES);
      const field = this.#table.at(number);
      if (field === undefined) this.problem = `no entry at index ${index}`;
      this.#mark = (this.#marks[number & (this.#marks.length - 1)] ?? 0) & BAD_NAME;
      return field?.name;
    }
    if (index < 0) {
      this.problem = "integer too long or cut off";
      return undefined;
    }
    const text = this.#text(buffer, end, BAD_IN_NAME, BAD_NAME);
    if (text === undefined) return undefined;
    // A name that breaks the rules is not worth remembering.
    return this.#mark === 0 ? headerName(text) : new HeaderName(text, NameRole.ordinary);
  }

  /** A string as latin1. Its marks go to `#mark`; `ifName` is the mark of a bad name, or 0 for a value. */
  #text(buffer: Buffer, end: number, bad: number, ifName: number): string | undefined {
    if (this.#at >= end) {
      this.problem = "string cut off";
      return undefined;
    }
    const coded = (buffer[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(buffer, end, 0x7f);
    if (length < 0 || length > end - this.#at) {
      this.problem = "string cut off";
      return undefined;
    }
    let source = buffer;
    let from = this.#at;
    this.#at += length;
    let to = this.#at;
    if (coded) {
      const most = huffmanDecodedMax(length);
      if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most);
      to = huffmanDecode(buffer, from, to, scratch);
      if (to < 0) {
        this.problem = "Huffman code is malformed";
        return undefined;
      }
      source = scratch;
      from = 0;
    }
    let flags = 0;
    // The colon of a pseudo-header is no token character, but stands first there.
    const colon = ifName !== 0 && source[from] === 0x3a ? 1 : 0;
    for (let at = from + colon; at < to; at++) flags |= FIELD_BYTES[source[at] ?? 0] ?? 0;
    this.#mark = 0;
    if (ifName !== 0) {
      if ((flags & bad) !== 0 || to - from <= colon) this.#mark = ifName;
    } else {
      if ((flags & bad) !== 0) this.#mark = BAD_VALUE;
      else if (to > from && (isBlank(source[from]) || isBlank(source[to - 1]))) this.#mark = REPAIR;
    }
    return from === to ? "" : source.toString("latin1", from, to);
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** The field without blanks around its value. The table keeps the original: its size counts (RFC 7541 section 4.1). */
function repaired(field: HeaderField): HeaderField {
  let from = 0;
  let to = field.value.length;
  while (from < to && isBlank(field.value.charCodeAt(from))) from++;
  while (to > from && isBlank(field.value.charCodeAt(to - 1))) to--;
  const clean = new HeaderField(field.name, field.value.slice(from, to));
  clean.neverIndex = field.neverIndex;
  return clean;
}
