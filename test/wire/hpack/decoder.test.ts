import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { internField, headerName, type HeaderField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder, type ListLimits } from "../../../src/wire/hpack/decoder.ts";

const LIMITS: ListLimits = { bytes: 65_536, abuseBytes: 262_144, fields: 1000 };

type Pair = readonly [name: string, value: string];

function pairs(fields: readonly HeaderField[]): Pair[] {
  return fields.map((f) => [f.name.text, f.value]);
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

function decodeAll(
  decoder: HpackDecoder,
  block: Buffer,
  limits = LIMITS,
): { result: BlockResult; fields: HeaderField[] } {
  const fields: HeaderField[] = [];
  const framed = Buffer.concat([Buffer.from([0xff, 0xff]), block, Buffer.from([0x82])]);
  const result = decoder.decode(framed, 2, 2 + block.length, fields, limits);
  return { result, fields };
}

function literal(name: string, value: string, form = 0): Buffer {
  assert.ok(name.length < 127 && value.length < 127);
  return Buffer.concat([
    Buffer.of(form, name.length),
    Buffer.from(name, "latin1"),
    Buffer.of(value.length),
    Buffer.from(value, "latin1"),
  ]);
}

/** Requests and responses of RFC 7541 appendix C.3 to C.6: one table of blocks per connection, sizes after each. */
const REQUEST_LISTS: Pair[][] = [
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
  ],
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
    ["cache-control", "no-cache"],
  ],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];
const RESPONSE_LISTS: Pair[][] = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    ["location", "https://www.example.com"],
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

const SEQUENCES = [
  {
    name: "C.3 requests without Huffman",
    table: 4096,
    lists: REQUEST_LISTS,
    sizes: [57, 110, 164],
    blocks: [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
  },
  {
    name: "C.4 requests with Huffman",
    table: 4096,
    lists: REQUEST_LISTS,
    sizes: [57, 110, 164],
    blocks: [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  },
  {
    name: "C.5 responses without Huffman",
    table: 256,
    lists: RESPONSE_LISTS,
    sizes: [222, 222, 215],
    blocks: [
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ],
  },
  {
    name: "C.6 responses with Huffman",
    table: 256,
    lists: RESPONSE_LISTS,
    sizes: [222, 222, 215],
    blocks: [
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ],
  },
];

for (const { name, table, lists, sizes, blocks } of SEQUENCES) {
  test(`decodes RFC 7541 ${name}`, () => {
    const decoder = new HpackDecoder(table);
    blocks.forEach((block, i) => {
      const { result, fields } = decodeAll(decoder, hex(block));
      assert.equal(result, BlockResult.ok);
      assert.deepEqual(pairs(fields), lists[i]);
      assert.equal(decoder.tableSize, sizes[i]);
    });
  });
}

test("decodes the four representations of RFC 7541 C.2", () => {
  const cases: [string, Pair, number, boolean][] = [
    [
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      ["custom-key", "custom-header"],
      55,
      false,
    ],
    ["040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"], 0, false],
    ["1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"], 0, true],
    ["82", [":method", "GET"], 0, false],
  ];
  for (const [block, pair, size, never] of cases) {
    const decoder = new HpackDecoder(4096);
    const { result, fields } = decodeAll(decoder, hex(block));
    assert.equal(result, BlockResult.ok);
    assert.deepEqual(pairs(fields), [pair]);
    assert.equal(decoder.tableSize, size);
    assert.equal(fields[0]?.neverIndex, never);
  }
});

test("shares what a peer indexes between connections, and nothing else", () => {
  const one = decodeAll(new HpackDecoder(4096), literal("x-shared", "value", 0x40)).fields[0];
  const two = decodeAll(new HpackDecoder(4096), literal("x-shared", "value", 0x40)).fields[0];
  const three = decodeAll(new HpackDecoder(4096), literal("x-shared", "value", 0x00)).fields[0];
  assert.equal(one?.interned, true);
  assert.equal(one, two);
  assert.equal(one, internField(headerName("x-shared"), "value"));
  assert.notEqual(one, three);
  assert.equal(three?.interned, false);
});

test("calls a block corrupt that is not HPACK", () => {
  const cases: [string, string][] = [
    ["index 0", "80"],
    ["an index beyond the tables", "be"],
    ["a literal whose name is beyond the tables", "7f0001 61"],
    ["an integer that never ends", "ffffffffffffffffff01"],
    ["an integer cut off", "ff80"],
    ["a string longer than the block", "0005 61"],
    ["a name without a value", "000161"],
    ["nothing after a literal's first byte", "40"],
    ["a size update above our setting", "3fe21f"],
    ["a size update after a field", "8220"],
    ["Huffman padding of zeros", "0081 18 0161"],
    ["Huffman EOS", "0084 ffffffff 0161"],
  ];
  for (const [what, block] of cases) {
    const decoder = new HpackDecoder(4096);
    assert.equal(decodeAll(decoder, hex(block)).result, BlockResult.corrupt, what);
    assert.notEqual(decoder.problem, "", what);
  }
});

test("takes a table size of exactly our setting, and two updates in a row", () => {
  const decoder = new HpackDecoder(4096);
  assert.equal(decodeAll(decoder, hex("203fe11f82")).result, BlockResult.ok);
});

test("empties the table for a field that is larger than it", () => {
  const decoder = new HpackDecoder(64);
  assert.equal(decodeAll(decoder, literal("a", "b", 0x40)).result, BlockResult.ok);
  assert.equal(decoder.tableSize, 34);
  assert.equal(decodeAll(decoder, literal("a", "b".repeat(64), 0x40)).result, BlockResult.ok);
  assert.equal(decoder.tableSize, 0);
  assert.equal(decodeAll(decoder, hex("be")).result, BlockResult.corrupt);
});

for (const [what, name, value] of [
  ["an upper-case name", "X-a", "v"],
  ["an empty name", "", "v"],
  ["a space in a name", "x a", "v"],
  ["a colon in a name", "x:a", "v"],
  ["CRLF in a name", "x\r\na", "v"],
  ["a high byte in a name", "x\xe9", "v"],
  ["a lone colon as name", ":", "v"],
  ["an upper-case pseudo-header", ":Path", "/"],
  ["CRLF in a value", "x", "a\r\nb"],
  ["LF in a value", "x", "a\nb"],
  ["CR in a value", "x", "a\rb"],
  ["NUL in a value", "x", "a\0b"],
  ["DEL in a value", "x", "a\x7fb"],
] as const) {
  test(`says that ${what} is invalid, keeps the table, and says so again by index`, () => {
    const decoder = new HpackDecoder(4096);
    const { result, fields } = decodeAll(decoder, Buffer.concat([literal(name, value, 0x40), hex("82")]));
    assert.equal(result, BlockResult.invalidField);
    assert.deepEqual(pairs(fields), [[":method", "GET"]]);
    assert.equal(decoder.tableSize, name.length + value.length + 32);
    assert.equal(decodeAll(decoder, hex("be")).result, BlockResult.invalidField);
  });
}

test("takes tab, high bytes and an empty value", () => {
  const { result, fields } = decodeAll(
    new HpackDecoder(4096),
    Buffer.concat([literal("a", "x\ty"), literal("b", "caf\xe9"), literal("c", "")]),
  );
  assert.equal(result, BlockResult.ok);
  assert.deepEqual(pairs(fields), [
    ["a", "x\ty"],
    ["b", "caf\xe9"],
    ["c", ""],
  ]);
});

test("trims blanks around a value, also by index, without losing count of the table", () => {
  const decoder = new HpackDecoder(4096);
  const { fields } = decodeAll(
    decoder,
    Buffer.concat([literal("x-t", " \ta b ", 0x40), hex("be"), literal("x-u", "  ")]),
  );
  assert.deepEqual(pairs(fields), [
    ["x-t", "a b"],
    ["x-t", "a b"],
    ["x-u", ""],
  ]);
  assert.equal(decoder.tableSize, 3 + 6 + 32);
});

test("stops keeping fields at the limits but keeps the table right", () => {
  const decoder = new HpackDecoder(4096);
  const limits = { bytes: 100, abuseBytes: 100_000, fields: 1000 };
  const block = Buffer.concat([
    literal("a", "1", 0x40),
    literal("b", "2".repeat(60), 0x40),
    literal("c", "3", 0x40),
  ]);
  const { result, fields } = decodeAll(decoder, block, limits);
  assert.equal(result, BlockResult.tooLarge);
  assert.deepEqual(pairs(fields), [["a", "1"]]);
  // The newest entry is c, the one before it b.
  assert.deepEqual(pairs(decodeAll(decoder, hex("be bf")).fields), [
    ["c", "3"],
    ["b", "2".repeat(60)],
  ]);
});

test("counts exactly: the limit passes, one byte more does not", () => {
  const block = literal("abc", "defg");
  assert.equal(decodeAll(new HpackDecoder(4096), block, { ...LIMITS, bytes: 39 }).result, BlockResult.ok);
  assert.equal(
    decodeAll(new HpackDecoder(4096), block, { ...LIMITS, bytes: 38 }).result,
    BlockResult.tooLarge,
  );
  const many = Buffer.alloc(1001, 0x82);
  assert.equal(decodeAll(new HpackDecoder(4096), many.subarray(1)).result, BlockResult.ok);
  assert.equal(decodeAll(new HpackDecoder(4096), many).result, BlockResult.tooLarge);
});

test("gives up on a bomb of references to one large entry", () => {
  const decoder = new HpackDecoder(4096);
  const large = Buffer.concat([
    Buffer.of(0x40, 1, 0x78, 0x7f, ...integerRest(4000 - 127)),
    Buffer.alloc(4000, 0x61),
  ]);
  const { result, fields } = decodeAll(decoder, Buffer.concat([large, Buffer.alloc(4000, 0xbe)]));
  assert.equal(result, BlockResult.abusive);
  assert.ok(fields.length <= 17);
});

function integerRest(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

test("ends in a known way for any bytes, with a list within its limits", () => {
  const limits = { bytes: 1000, abuseBytes: 4000, fields: 20 };
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder(256);
      for (const block of blocks) {
        const { result, fields } = decodeAll(decoder, Buffer.from(block), limits);
        assert.ok(fields.length <= 20);
        assert.ok(fields.reduce((sum, f) => sum + f.size, 0) <= 1000);
        assert.ok(decoder.tableSize <= 256);
        if (result >= BlockResult.abusive) return;
      }
    }),
    { numRuns: 500 },
  );
});
