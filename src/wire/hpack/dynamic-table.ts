/**
 * A dynamic table: the newest fields of one direction of one connection, oldest dropped first.
 *
 * Entries are numbered by insertion, from 0; the number of an entry never changes, its HPACK index does.
 *
 * Source: RFC 7541 sections 2.3.2 and 4.
 */
import type { HeaderField } from "../header-field.ts";

/** No field counts less than this (RFC 7541 section 4.1). */
const ENTRY_BYTES_MIN = 32;

export class DynamicTable {
  /** Insertions so far: the number of the next entry. */
  inserted = 0;
  count = 0;
  /** Sum of the sizes of the entries, RFC 7541 section 4.1 bytes. */
  size = 0;
  /** What `size` may be. */
  limit: number;
  readonly #ring: (HeaderField | undefined)[] = [];
  readonly #mask: number;

  /** @param limit the most the table will ever be allowed, in bytes. */
  constructor(limit: number) {
    this.limit = limit;
    // The ring grows with the first insertions: an idle connection pays nothing for it.
    this.#mask = ringLength(limit) - 1;
  }

  /** The entry with that number, or undefined where it was dropped or never made. */
  at(number: number): HeaderField | undefined {
    return number >= this.inserted - this.count && number < this.inserted
      ? this.#ring[number & this.#mask]
      : undefined;
  }

  /** Drops the oldest entry and returns it; undefined if the table is empty. */
  dropOldest(): HeaderField | undefined {
    if (this.count === 0) return undefined;
    const slot = (this.inserted - this.count) & this.#mask;
    const field = this.#ring[slot];
    this.#ring[slot] = undefined;
    this.count--;
    this.size -= field?.size ?? 0;
    return field;
  }

  /** Adds an entry. The caller has made room: `size + field.size <= limit`. */
  insert(field: HeaderField): number {
    const number = this.inserted++;
    this.#ring[number & this.#mask] = field;
    this.count++;
    this.size += field.size;
    return number;
  }
}

/** Slots of a ring that holds every table of `limit` bytes: a power of two, for the mask. */
export function ringLength(limit: number): number {
  let slots = 1;
  while (slots < limit / ENTRY_BYTES_MIN) slots *= 2;
  return slots;
}
