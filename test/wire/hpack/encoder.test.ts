import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { headerField, headerName, internField, type HeaderField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import { STATIC_TABLE } from "../../../src/wire/hpack/static-table.ts";

const LIMITS = { bytes: 1 << 20, abuseBytes: 1 << 22, fields: 10_000 };

function encode(encoder: HpackEncoder, fields: readonly HeaderField[]): Buffer {
  const worst = encoder.worstCase(fields.reduce((sum, f) => sum + f.size, 0));
  const buffer = Buffer.alloc(worst);
  let at = encoder.begin(buffer, 0);
  for (const field of fields) at = encoder.encode(buffer, at, field);
  assert.ok(at <= worst);
  return buffer.subarray(0, at);
}

function shared(name: string, value: string): HeaderField {
  return internField(headerName(name), value);
}

function own(name: string, value: string): HeaderField {
  return headerField(headerName(name), value);
}

function decode(decoder: HpackDecoder, block: Buffer): string[] {
  const fields: HeaderField[] = [];
  assert.equal(decoder.decode(block, 0, block.length, fields, LIMITS), BlockResult.ok, decoder.problem);
  return fields.map((f) => `${f.name.text}: ${f.value}${f.neverIndex ? " (never)" : ""}`);
}

test("writes the blocks of RFC 7541 C.3", () => {
  const encoder = new HpackEncoder(4096);
  const common = [shared(":method", "GET"), shared(":scheme", "http"), shared(":path", "/")];
  const authority = shared(":authority", "www.example.com");
  assert.equal(
    encode(encoder, [...common, authority]).toString("hex"),
    "828684410f7777772e6578616d706c652e636f6d",
  );
  assert.equal(
    encode(encoder, [...common, authority, shared("cache-control", "no-cache")]).toString("hex"),
    "828684be58086e6f2d6361636865",
  );
  assert.equal(
    encode(encoder, [
      shared(":method", "GET"),
      shared(":scheme", "https"),
      shared(":path", "/index.html"),
      authority,
      shared("custom-key", "custom-value"),
    ]).toString("hex"),
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
  );
  assert.equal(encoder.tableSize, 164);
});

test("leaves a literal a literal, and what must never be indexed so", () => {
  const encoder = new HpackEncoder(4096);
  const secret = own("authorization", "token");
  secret.neverIndex = true;
  const fields = [own("x-own", "value"), secret];
  const first = encode(encoder, fields);
  assert.deepEqual(encode(encoder, fields), first);
  assert.equal(encoder.tableSize, 0);
  assert.deepEqual(decode(new HpackDecoder(4096), first), ["x-own: value", "authorization: token (never)"]);
});

test("gives no single field a large share of the table", () => {
  const encoder = new HpackEncoder(4096);
  encode(encoder, [shared("x-large", "v".repeat(1000))]);
  assert.equal(encoder.tableSize, 0);
  encode(encoder, [shared("x-large", "v".repeat(900))]);
  assert.equal(encoder.tableSize, 939);
});

test("announces a smaller table, and a table that was smaller in between, with the next block", () => {
  const encoder = new HpackEncoder(4096);
  const decoder = new HpackDecoder(4096);
  const field = shared("x-table", "1");
  decode(decoder, encode(encoder, [field]));
  encoder.setPeerLimit(0);
  encoder.setPeerLimit(1_000_000);
  const block = encode(encoder, [field]);
  // 0, then 4096 again, and the field as a new entry.
  assert.equal(block.subarray(0, 4).toString("hex"), "203fe11f");
  assert.deepEqual(decode(decoder, block), ["x-table: 1"]);
  assert.equal(decoder.tableSize, encoder.tableSize);
  encoder.setPeerLimit(100);
  assert.equal(encoder.tableSize, 40);
  encoder.setPeerLimit(0);
  assert.deepEqual(decode(decoder, encode(encoder, [field])), ["x-table: 1"]);
  assert.equal(encoder.tableSize, 0);
  assert.equal(decoder.tableSize, 0);
});

test("says nothing when the table stays as it is", () => {
  const encoder = new HpackEncoder(4096);
  encoder.setPeerLimit(4096);
  encoder.setPeerLimit(1 << 30);
  assert.equal(encode(encoder, [shared(":method", "GET")]).toString("hex"), "82");
});

test("knows every static field by its index", () => {
  const encoder = new HpackEncoder(4096);
  STATIC_TABLE.forEach((field, i) => assert.equal(encode(encoder, [field])[0], 0x80 | (i + 1)));
});

test("is understood by the decoder through any sequence of blocks and table sizes", () => {
  const name = fc.constantFrom("x-a", "x-b", "accept", "cookie", ":path", "x-longer-name-than-the-others");
  const value = fc.oneof(
    fc.constantFrom("", "1", "same", "v".repeat(200)),
    fc.stringMatching(/^[!-~]{1,40}$/),
  );
  const field = fc.record({ name, value, kind: fc.constantFrom("shared", "own", "never") });
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.array(field, { maxLength: 12 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 33, 100, 500, 4096, 1 << 30) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const encoder = new HpackEncoder(4096);
      const decoder = new HpackDecoder(4096);
      for (const item of steps) {
        if (typeof item === "number") {
          encoder.setPeerLimit(item);
          continue;
        }
        const fields = item.map(({ name, value, kind }) => {
          if (kind === "shared") return shared(name, value);
          const one = own(name, value);
          one.neverIndex = kind === "never";
          return one;
        });
        const expected = fields.map((f) => `${f.name.text}: ${f.value}${f.neverIndex ? " (never)" : ""}`);
        assert.deepEqual(decode(decoder, encode(encoder, fields)), expected);
        assert.equal(decoder.tableSize, encoder.tableSize);
      }
    }),
    { numRuns: 200 },
  );
});
