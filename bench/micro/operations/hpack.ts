import assert from "node:assert/strict";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import { huffmanDecode, huffmanDecodedMax } from "../../../src/wire/hpack/huffman.ts";
import { HPACK_TABLE_BYTES } from "../../../src/wire/limits.ts";
import { huffmanEncode } from "../../../test/support/hpack-huffman.ts";
import { operation, type Operation } from "../operation.ts";
import { Odometer } from "./odometer.ts";
import { fresh, GRPC_REQUEST, LIMITS, lines, REQUEST_ID, shared } from "./sample-fields.ts";

/** Static indices of RFC 7541 appendix A. */
const INDEX_PATH = 4;
const INDEX_USER_AGENT = 58;
const INDEX_COOKIE = 32;

const NEW_FIELD = fresh("x-request-id", REQUEST_ID);
const PATH = "/api/v1/products/42/reviews?page=2&sort=newest";

/** All in the static table, whose indices no insertion moves. */
const STATIC_FIELDS = [
  shared(":method", "GET"),
  shared(":scheme", "http"),
  shared(":path", "/"),
  shared("accept-encoding", "gzip, deflate"),
];

export function hpack(): readonly Operation[] {
  return [
    decode("HPACK decode: 8 indexed fields", GRPC_REQUEST, blockOf(GRPC_REQUEST)),
    decode(
      "HPACK decode: 8 indexed fields and a literal",
      [...GRPC_REQUEST, NEW_FIELD],
      blockOf([...GRPC_REQUEST, NEW_FIELD]),
    ),
    decodeInserted("HPACK decode: 4 indexed fields and a new literal to be indexed"),
    decodeHuffman("HPACK decode: 4 indexed fields and 3 Huffman-coded literals"),
    encode("HPACK encode: 8 indexed fields", GRPC_REQUEST),
    encode("HPACK encode: 8 indexed fields and a literal", [...GRPC_REQUEST, NEW_FIELD]),
    encodeInserted("HPACK encode: 4 indexed fields and one to be indexed"),
    huffman(`Huffman decode: path of ${PATH.length} bytes`),
  ];
}

/**
 * The block of these fields from the second time on; what was written before it made the tables of both
 * sides.
 */
function blockOf(fields: readonly HeaderField[]): Buffer {
  const encoder = new HpackEncoder(HPACK_TABLE_BYTES);
  const out = Buffer.alloc(4_096);
  write(encoder, out, fields);
  return Buffer.from(out.subarray(0, write(encoder, out, fields)));
}

function write(encoder: HpackEncoder, out: Buffer, fields: readonly HeaderField[]): number {
  let at = encoder.begin(out, 0);
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field !== undefined) at = encoder.encode(out, at, field);
  }
  return at;
}

/** A decoder that already has what is worth an entry of these. */
function decoderOf(fields: readonly HeaderField[]): HpackDecoder {
  const decoder = new HpackDecoder(HPACK_TABLE_BYTES);
  const out = Buffer.alloc(4_096);
  const end = write(new HpackEncoder(HPACK_TABLE_BYTES), out, fields);
  assert.equal(decoder.decode(out, 0, end, [], LIMITS), BlockResult.ok);
  return decoder;
}

function decode(name: string, fields: readonly HeaderField[], block: Buffer): Operation {
  const decoder = decoderOf(fields);
  const list: HeaderField[] = [];
  return operation(
    name,
    () => {
      list.length = 0;
      return decoder.decode(block, 0, block.length, list, LIMITS);
    },
    (result) => {
      assert.equal(result, BlockResult.ok);
      assert.deepEqual(lines(list), lines(fields));
      fields.forEach((field, i) => assert.ok(!field.interned || list[i] === field, "not the shared field"));
    },
  );
}

function decodeInserted(name: string): Operation {
  const id = NEW_FIELD.name.text;
  const block = Buffer.concat([
    blockOf(STATIC_FIELDS),
    Buffer.of(0x40, id.length),
    Buffer.from(id, "latin1"),
    Buffer.of(REQUEST_ID.length),
    Buffer.from(REQUEST_ID, "latin1"),
  ]);
  const odometer = new Odometer(block, block.length);
  const decoder = new HpackDecoder(HPACK_TABLE_BYTES);
  const list: HeaderField[] = [];
  return operation(
    name,
    () => {
      odometer.turn();
      list.length = 0;
      return decoder.decode(block, 0, block.length, list, LIMITS);
    },
    (result) => {
      assert.equal(result, BlockResult.ok);
      const value = block.toString("latin1", block.length - REQUEST_ID.length);
      assert.deepEqual(lines(list), lines([...STATIC_FIELDS, fresh(id, value)]));
      assert.ok(list.at(-1)?.interned);
    },
  );
}

function decodeHuffman(name: string): Operation {
  const literals: readonly (readonly [number, HeaderField])[] = [
    [INDEX_PATH, fresh(":path", PATH)],
    [INDEX_USER_AGENT, fresh("user-agent", "grpc-node-js/1.14.7")],
    [INDEX_COOKIE, fresh("cookie", "session=6f1ed002ab5595859014ebf0951522d9")],
  ];
  const coded = literals.map(([index, { value }]) => {
    const text = huffmanEncode(Buffer.from(value, "latin1"));
    const prefix = index < 15 ? [index] : [15, index - 15];
    return Buffer.concat([Buffer.of(...prefix, 0x80 | text.length), text]);
  });
  const fields = [...STATIC_FIELDS, ...literals.map(([, field]) => field)];
  return decode(name, fields, Buffer.concat([blockOf(STATIC_FIELDS), ...coded]));
}

function encode(name: string, fields: readonly HeaderField[]): Operation {
  const encoder = new HpackEncoder(HPACK_TABLE_BYTES);
  const out = Buffer.alloc(4_096);
  write(encoder, out, fields);
  const decoder = decoderOf(fields);
  return operation(
    name,
    () => write(encoder, out, fields),
    (end) => {
      const list: HeaderField[] = [];
      assert.equal(decoder.decode(out, 0, end, list, LIMITS), BlockResult.ok);
      assert.deepEqual(lines(list), lines(fields));
    },
  );
}

/** As after `decodeInserted` on the other side of the proxy: the newcomer pushes out the oldest entry. */
function encodeInserted(name: string): Operation {
  const encoder = new HpackEncoder(HPACK_TABLE_BYTES);
  const decoder = new HpackDecoder(HPACK_TABLE_BYTES);
  const out = Buffer.alloc(4_096);
  const { text } = NEW_FIELD.name;
  return operation(
    name,
    () => {
      const field = fresh(text, REQUEST_ID);
      field.interned = true;
      const at = write(encoder, out, STATIC_FIELDS);
      return encoder.encode(out, at, field);
    },
    (end) => {
      const list: HeaderField[] = [];
      assert.equal(decoder.decode(out, 0, end, list, LIMITS), BlockResult.ok);
      assert.deepEqual(lines(list), lines([...STATIC_FIELDS, NEW_FIELD]));
    },
  );
}

function huffman(name: string): Operation {
  const coded = huffmanEncode(Buffer.from(PATH, "latin1"));
  const target = Buffer.alloc(huffmanDecodedMax(coded.length));
  return operation(
    name,
    () => huffmanDecode(coded, 0, coded.length, target),
    (length) => assert.equal(target.toString("latin1", 0, length), PATH),
  );
}
