/** Our HPACK beside that of node:http2 (nghttp2): what either writes, the other must read as it was meant. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  connect,
  performServerHandshake,
  sensitiveHeaders,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { duplexPair, type Duplex } from "node:stream";
import { headerName, internField, type HeaderField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import { CLIENT_PREFACE, FrameFlag, FrameType } from "../../../src/wire/http2/frame.ts";
import { SettingId } from "../../../src/wire/http2/settings.ts";
import { seeded } from "../../support/chance.ts";
import { frameBytes } from "../../support/h2-raw-peer.ts";
import type { FuzzTarget, Input } from "../target.ts";
import { encode, randomFields } from "./hpack.ts";

const LIMITS = { bytes: 1 << 20, abuseBytes: 1 << 20, fields: 10_000 };
const TABLE_BYTES = 4_096;
const FIELDS_MAX = 30;

const PSEUDO = [
  internField(headerName(":method"), "GET"),
  internField(headerName(":scheme"), "http"),
  internField(headerName(":path"), "/a/path"),
  internField(headerName(":authority"), "h.test"),
];

/** Chance that follows from the bytes of a segment. */
function chanceOf(segment: Buffer): () => number {
  let seed = segment.length;
  for (const byte of segment) seed = (Math.imul(seed, 31) + byte) | 0;
  return seeded(seed);
}

function seeds(seed: number): Input[] {
  const random = seeded(seed);
  return Array.from({ length: 20 }, () =>
    Array.from({ length: 1 + Math.floor(random() * 8) }, () => Buffer.of(random() * 256, random() * 256)),
  );
}

/** Each segment decides the fields of one request, and now and then a new size of the table before it. */
export const hpackToNode: FuzzTarget = {
  name: "hpack-to-node",
  dictionary: [],
  slowMs: 5_000,
  seeds,
  run: async (input) => {
    const encoder = new HpackEncoder(TABLE_BYTES);
    const expected: SeenList[] = [];
    const frames: Buffer[] = [CLIENT_PREFACE, frameBytes(FrameType.settings, 0, 0, Buffer.alloc(0))];
    for (const segment of input) {
      const random = chanceOf(segment);
      // Twice in a row, the smaller of two sizes counts as well.
      for (let changes = Math.floor(random() * 4) - 1; changes > 0; changes--)
        encoder.setPeerLimit(Math.floor(random() * TABLE_BYTES));
      const fields = [...PSEUDO, ...randomFields(random, FIELDS_MAX)];
      const flags = FrameFlag.endHeaders | FrameFlag.endStream;
      frames.push(frameBytes(FrameType.headers, flags, 2 * expected.length + 1, encode(encoder, fields)));
      expected.push({ fields: fields.map(textOf), never: neverNames(fields) });
    }
    const seen = await headersSeenByNode(frames, expected.length);
    assert.deepEqual(seen, expected);
    return [`${Math.min(input.length, 10)} blocks`, `table ${Math.floor(encoder.tableSize / 512)}`];
  },
};

function textOf(field: HeaderField): string {
  return `${field.name.text}: ${field.value}`;
}

/** Names of the fields that must never be indexed, once each. */
function neverNames(fields: readonly HeaderField[]): string[] {
  return [...new Set(fields.filter((field) => field.neverIndex).map((field) => field.name.text))].sort();
}

/** A list as either side understood it; node:http2 tells of whole names what must never be indexed. */
interface SeenList {
  readonly fields: readonly string[];
  readonly never: readonly string[];
}

async function headersSeenByNode(frames: readonly Buffer[], count: number): Promise<SeenList[]> {
  const seen: SeenList[] = [];
  const [near, far] = duplexPair();
  const session = performServerHandshake(near);
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  session.on("error", reject).on("close", resolve);
  session.on(
    "stream",
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: readonly string[]) => {
      stream.on("error", () => {});
      const fields: string[] = [];
      for (let i = 0; i < raw.length; i += 2) fields.push(`${raw[i]}: ${raw[i + 1]}`);
      seen.push({ fields, never: [...new Set(sensitiveOf(headers))].sort() });
      if (seen.length === count) resolve();
    },
  );
  far.on("error", () => {}).resume();
  far.write(Buffer.concat(frames));
  try {
    if (count > 0) await done;
  } finally {
    session.destroy();
    near.destroy();
    far.destroy();
    // What a session holds is given back in a later turn only.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return seen;
}

export const hpackFromNode: FuzzTarget = {
  name: "hpack-from-node",
  dictionary: [],
  slowMs: 5_000,
  seeds,
  run: async (input) => {
    const first = chanceOf(input[0] ?? Buffer.alloc(0));
    const tableBytes = Math.floor(first() * 2 * TABLE_BYTES);
    const [near, far] = duplexPair();
    const blocks = headerBlocks(far);
    const session = connect("http://h.test", { createConnection: () => near });
    const failed = once(session, "error").then(([error]) => Promise.reject(error));
    failed.catch(() => {});
    try {
      const settings = Buffer.alloc(6);
      settings.writeUInt16BE(SettingId.headerTableSize, 0);
      settings.writeUInt32BE(tableBytes, 2);
      far.write(frameBytes(FrameType.settings, 0, 0, settings));
      await Promise.race([once(session, "remoteSettings"), failed]);
      const decoder = new HpackDecoder(tableBytes);
      for (const segment of input) {
        const headers = randomHeaders(chanceOf(segment));
        request(session, headers);
        const block = await Promise.race([blocks.next(), failed]);
        const fields: HeaderField[] = [];
        const result = decoder.decode(block, 0, block.length, fields, LIMITS);
        assert.equal(result, BlockResult.ok, decoder.problem);
        assert.ok(decoder.tableSize <= tableBytes);
        const wanted = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
        const all = [":method: GET", ":authority: h.test:80", ":scheme: http", ":path: /", ...wanted];
        assert.deepEqual(fields.map(textOf).sort(), all.sort());
        const never = neverNames(fields);
        for (const name of sensitiveOf(headers)) assert.ok(never.includes(name), `${name} may be indexed`);
      }
    } finally {
      session.destroy();
      near.destroy();
      far.destroy();
    }
    return [`${Math.min(input.length, 10)} blocks`, `table ${Math.floor(tableBytes / 512)}`];
  },
};

function request(session: ClientHttp2Session, headers: OutgoingHttpHeaders): void {
  session.request(headers, { endStream: true }).on("error", () => {});
}

/** Fields of different names: node:http2 takes an object. */
function randomHeaders(random: () => number): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const never: string[] = [];
  for (const { name, value, neverIndex } of randomFields(random, FIELDS_MAX)) {
    headers[name.text] = value;
    if (neverIndex && !never.includes(name.text)) never.push(name.text);
  }
  return Object.assign(headers, { [sensitiveHeaders]: never });
}

/** Names that node:http2 keeps under a symbol, which its types do not know as an index. */
function sensitiveOf(headers: IncomingHttpHeaders | OutgoingHttpHeaders): string[] {
  const never: unknown = Reflect.get(headers, sensitiveHeaders);
  return Array.isArray(never) ? never.map(String) : [];
}

/** The header blocks that come, CONTINUATION joined to them. */
function headerBlocks(from: Duplex): { next(): Promise<Buffer> } {
  let bytes = Buffer.alloc(0);
  let prefaceLeft = CLIENT_PREFACE.length;
  let block = Buffer.alloc(0);
  const ready: Buffer[] = [];
  const waiting: ((block: Buffer) => void)[] = [];
  from.on("error", () => {});
  from.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < prefaceLeft) return;
    bytes = bytes.subarray(prefaceLeft);
    prefaceLeft = 0;
    while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
      const end = 9 + bytes.readUIntBE(0, 3);
      const [type, flags] = [bytes[3] ?? 0, bytes[4] ?? 0];
      if (type === FrameType.headers || type === FrameType.continuation) {
        // nghttp2 pads nothing, and writes no priority unless it is asked to.
        block = Buffer.concat([block, bytes.subarray(9, end)]);
        if ((flags & FrameFlag.endHeaders) !== 0) {
          const taker = waiting.shift();
          if (taker === undefined) ready.push(block);
          else taker(block);
          block = Buffer.alloc(0);
        }
      }
      bytes = bytes.subarray(end);
    }
  });
  return {
    next: () => {
      const block = ready.shift();
      if (block !== undefined) return Promise.resolve(block);
      return new Promise((resolve) => waiting.push(resolve));
    },
  };
}
