/** HPACK: any blocks into the decoder; what it accepts, through the encoder and back. */
import assert from "node:assert/strict";
import { seeded } from "../../support/chance.ts";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { headerField, headerName, internField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import { words, type FuzzTarget, type Input } from "../target.ts";

const LIMITS = { bytes: 8_192, abuseBytes: 32_768, fields: 100 };
const TABLE_BYTES = 512;

const HPACK_WORDS = [
  ...words(
    "\x82",
    "\x3f\xe1\x1f",
    "\x20",
    "\x40",
    "\x0f\x00",
    "\x10",
    "\x7f\xff\xff\xff\x7f",
    "\xbe",
    "\xff\x80",
  ),
  ...words("\x40\x01a\x01b", "\x00\x01a\x7f\x00", "\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
  ...words(":path", "x-a", "\0", "\r\n", "A"),
];

export const hpack: FuzzTarget = {
  name: "hpack",
  dictionary: HPACK_WORDS,
  seeds: (seed) => Array.from({ length: 60 }, (_, i) => encodedBlocks(seeded(seed + i))),
  run: (input) => {
    const decoder = new HpackDecoder(TABLE_BYTES);
    const encoder = new HpackEncoder(TABLE_BYTES);
    const second = new HpackDecoder(TABLE_BYTES);
    const features: string[] = [];
    for (const block of input) {
      const fields: HeaderField[] = [];
      const result = decoder.decode(block, 0, block.length, fields, LIMITS);
      const table = decoder.tableSize;
      assert.ok(table <= TABLE_BYTES, `a table of ${table} bytes`);
      assert.ok(fields.length <= LIMITS.fields, "too many fields");
      assert.ok(sizeOf(fields) <= LIMITS.bytes, "too large a list");
      features.push(
        `${result} ${decoder.problem.replace(/\d+/g, "N")} ${Math.min(fields.length, 4)} ${table > 0}`,
      );
      if (result === BlockResult.ok) {
        // The size of the table changes, once or twice, between blocks that fit by chance.
        for (const byte of block.length % 4 === 0 ? block.subarray(0, 2) : []) encoder.setPeerLimit(3 * byte);
        const copy = encode(encoder, fields);
        const again: HeaderField[] = [];
        assert.equal(second.decode(copy, 0, copy.length, again, LIMITS), BlockResult.ok, second.problem);
        assert.deepEqual(again.map(textOf), fields.map(textOf));
        assert.equal(second.tableSize, encoder.tableSize);
      }
      if (result === BlockResult.corrupt || result === BlockResult.abusive) break;
    }
    return features;
  },
};

/** A block by our encoder, which may not write more than it promises. */
export function encode(encoder: HpackEncoder, fields: readonly HeaderField[]): Buffer {
  const worst = encoder.worstCase(sizeOf(fields));
  const buffer = Buffer.alloc(worst);
  let at = encoder.begin(buffer, 0);
  for (const field of fields) at = encoder.encode(buffer, at, field);
  assert.ok(at <= worst, "more bytes than the worst case");
  return buffer.subarray(0, at);
}

function sizeOf(fields: readonly HeaderField[]): number {
  return fields.reduce((sum, field) => sum + field.size, 0);
}

function textOf(field: HeaderField): string {
  return `${field.name.text}: ${field.value}${field.neverIndex ? " (never)" : ""}`;
}

const NAMES = ["x-a", "x-b", "accept", "cookie", "user-agent", "x-longer-name-than-the-others"] as const;
const VALUES = ["", "1", "same", "gzip, deflate", "v".repeat(130), "\xe9t\xe9", "a b\tc"] as const;

/** Fields of all three kinds of indexing. */
export function randomFields(random: () => number, most: number): HeaderField[] {
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  return Array.from({ length: Math.floor(random() * (most + 1)) }, () => {
    const name = headerName(pick(NAMES) ?? "x");
    const value = random() < 0.5 ? (pick(VALUES) ?? "") : String(Math.floor(random() * 50));
    if (random() < 0.5) return internField(name, value);
    const field = headerField(name, value);
    field.neverIndex = random() < 0.3;
    return field;
  });
}

function encodedBlocks(random: () => number): Input {
  const encoder = new HpackEncoder(TABLE_BYTES);
  return Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
    if (random() < 0.3) encoder.setPeerLimit(Math.floor(random() * 600));
    return encode(encoder, randomFields(random, 8));
  });
}
