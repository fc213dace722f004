/**
 * HPACK encoding: fields to a header block, by identity.
 *
 * A field that some peer indexed (`interned`) is worth an entry here too; a literal stays a literal, and what a peer asked
 * never to index is passed on with the same request. Literals are not Huffman-coded: on a sidecar's short hops the CPU
 * costs more than the bytes.
 *
 * Source: RFC 7541 sections 4 and 6. Asked for by the HTTP/2 scenario of `npm run bench`: an indexed field is one map lookup and one byte.
 */
import type { HeaderField } from "../header-field.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { STATIC_ENTRIES } from "./static-table.ts";

/** More than this share of the table is not given to a single field: it would push out what is used more often. */
const FIELD_SHARE_OF_TABLE = 4;
/** Shorter strings are written byte by byte: the call into the runtime costs more. */
const SHORT_TEXT = 24;
/** The most bytes of table size updates before a block. */
const UPDATES_MAX = 12;

export class HpackEncoder {
  readonly #table: DynamicTable;
  /** Entries of the table to their numbers. */
  readonly #numbers = new Map<HeaderField, number>();
  readonly #tableMax: number;
  /** Smallest limit since the last block, and whether the peer must be told; RFC 7541 section 4.2. */
  #lowest: number;
  #announce = false;

  /** @param tableMax the most our table takes, whatever the peer allows; bytes. */
  constructor(tableMax: number) {
    this.#tableMax = tableMax;
    this.#table = new DynamicTable(tableMax);
    this.#lowest = tableMax;
  }

  /** Bytes our table takes now, for tests and metrics. */
  get tableSize(): number {
    return this.#table.size;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE changed. Takes effect with the next block, in at most two size updates. */
  setPeerLimit(bytes: number): void {
    const limit = Math.min(bytes, this.#tableMax);
    if (limit === this.#table.limit) return;
    this.#table.limit = limit;
    this.#lowest = Math.min(this.#lowest, limit);
    this.#announce = true;
    this.#makeRoom(0);
  }

  /** The most bytes that `begin` and then these fields can take. `fieldBytes` is the sum of their `size`. */
  worstCase(fieldBytes: number): number {
    // name + value + 32 of a field cover its index and its two lengths, 5 bytes each at most.
    return UPDATES_MAX + fieldBytes;
  }

  /** Starts a block at `offset`; returns where the first field goes. */
  begin(buffer: Buffer, offset: number): number {
    if (!this.#announce) return offset;
    let at = offset;
    if (this.#lowest < this.#table.limit) at = writeInteger(buffer, at, 0x20, 0x1f, this.#lowest);
    at = writeInteger(buffer, at, 0x20, 0x1f, this.#table.limit);
    this.#announce = false;
    this.#lowest = this.#table.limit;
    return at;
  }

  /** Writes one field at `offset`; returns where the next goes. */
  encode(buffer: Buffer, offset: number, field: HeaderField): number {
    if (field.staticIndex !== 0) {
      buffer[offset] = 0x80 | field.staticIndex;
      return offset + 1;
    }
    if (field.interned) {
      const table = this.#table;
      const number = this.#numbers.get(field);
      if (number !== undefined)
        return writeInteger(buffer, offset, 0x80, 0x7f, STATIC_ENTRIES + table.inserted - number);
      if (field.size * FIELD_SHARE_OF_TABLE <= table.limit) {
        // The name is written first: the index of a dynamic name would shift with the insertion.
        const at = writeLiteral(buffer, offset, 0x40, 0x3f, field);
        this.#makeRoom(field.size);
        this.#numbers.set(field, table.insert(field));
        return at;
      }
    }
    return writeLiteral(buffer, offset, field.neverIndex ? 0x10 : 0x00, 0x0f, field);
  }

  #makeRoom(bytes: number): void {
    const table = this.#table;
    while (table.size + bytes > table.limit) {
      const dropped = table.dropOldest();
      if (dropped === undefined) return;
      this.#numbers.delete(dropped);
    }
  }
}

function writeLiteral(
  buffer: Buffer,
  offset: number,
  form: number,
  mask: number,
  field: HeaderField,
): number {
  const name = field.name;
  let at = writeInteger(buffer, offset, form, mask, name.staticIndex);
  if (name.staticIndex === 0) at = writeText(buffer, at, name.text);
  return writeText(buffer, at, field.value);
}

function writeText(buffer: Buffer, offset: number, text: string): number {
  const length = text.length;
  const at = writeInteger(buffer, offset, 0, 0x7f, length);
  if (length < SHORT_TEXT) for (let i = 0; i < length; i++) buffer[at + i] = text.charCodeAt(i);
  else buffer.write(text, at, length, "latin1");
  return at + length;
}

/** An integer with a prefix of the bits of `mask`, RFC 7541 section 5.1. */
function writeInteger(buffer: Buffer, offset: number, form: number, mask: number, value: number): number {
  let at = offset;
  if (value < mask) {
    buffer[at++] = form | value;
    return at;
  }
  buffer[at++] = form | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    buffer[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}
