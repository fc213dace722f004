import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { huffmanDecode, huffmanDecodedMax } from "../../../src/wire/hpack/huffman.ts";
import { huffmanEncode } from "../../support/hpack-huffman.ts";

function decode(coded: Uint8Array): Buffer | undefined {
  const target = Buffer.alloc(huffmanDecodedMax(coded.length));
  const length = huffmanDecode(coded, 0, coded.length, target);
  return length < 0 ? undefined : target.subarray(0, length);
}

test("decodes what was coded, for every byte string", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.deepEqual(decode(huffmanEncode(bytes)), Buffer.from(bytes));
    }),
  );
});

test("decodes every single byte value", () => {
  for (let byte = 0; byte < 256; byte++) {
    assert.deepEqual(decode(huffmanEncode(Uint8Array.of(byte))), Buffer.of(byte));
  }
});

test("refuses padding of eight bits or more", () => {
  assert.equal(decode(Buffer.concat([huffmanEncode(Buffer.from("a")), Buffer.of(0xff)])), undefined);
  assert.equal(decode(Buffer.of(0xff)), undefined);
});

test("refuses padding that is not all ones", () => {
  // "a" is 00011 and leaves three bits.
  assert.deepEqual(decode(Buffer.of(0b00011_111)), Buffer.from("a"));
  assert.equal(decode(Buffer.of(0b00011_110)), undefined);
  assert.equal(decode(Buffer.of(0b00011_011)), undefined);
});

test("refuses EOS within a string", () => {
  assert.equal(decode(Buffer.of(0xff, 0xff, 0xff, 0xff)), undefined);
  assert.equal(decode(Buffer.of(0b00011_111, 0xff, 0xff, 0xff, 0xff)), undefined);
});

test("never writes more than it says it may", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const target = Buffer.alloc(huffmanDecodedMax(bytes.length) + 1, 0x7e);
      const length = huffmanDecode(bytes, 0, bytes.length, target);
      assert.ok(length <= huffmanDecodedMax(bytes.length));
      assert.equal(target[target.length - 1], 0x7e);
    }),
  );
});
