import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ChunkedDecoder, ChunkStep } from "../../../src/wire/http1/chunked.ts";
import { Codings, NO_LENGTH } from "../../../src/wire/http1/framing.ts";
import { INCOMPLETE, MALFORMED, RequestParser, ResponseParser } from "../../../src/wire/http1/parser.ts";

/** Whatever the cuts between reads, parsers say the same. */
const text = (chars: string, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...chars.split("")), maxLength, minLength: 0 });

const field = fc.oneof(
  fc.tuple(text("aB-_", 6), text("xy \t,;=\xe9", 12)).map(([name, value]) => `${name}: ${value}`),
  fc.constantFrom(
    "Host: h",
    "Content-Length: 3",
    "Transfer-Encoding: chunked",
    "Connection: close, x",
    "X : y",
    "TE: trailers",
    " fold",
    "Expect: 100-continue",
    "Upgrade: x",
  ),
);
const lineEnd = fc.constantFrom("\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n");
const startLine = fc.constantFrom(
  "GET / HTTP/1.1",
  "POST /a?b#c HTTP/1.1",
  "GET http://h/ HTTP/1.1",
  "CONNECT h:1 HTTP/1.1",
  "GET * HTTP/1.1",
  "GET / HTTP/1.0",
  "HTTP/1.1 200 OK",
  "HTTP/1.0 404",
  "HTTP/1.1 101 Sw",
  "SSH-2.0-x",
  "",
);
const head = fc
  .tuple(
    fc.constantFrom("", "\r\n", "\n"),
    startLine,
    fc.array(fc.tuple(field, lineEnd), { maxLength: 6 }),
    lineEnd,
    lineEnd,
  )
  .map(
    ([blank, start, fields, end, last]) =>
      `${blank}${start}${end}${fields.map(([f, e]) => f + e).join("")}${last}rest`,
  );

const cuts = fc.array(fc.nat({ max: 300 }), { maxLength: 12 });

/** The text as pieces in buffers of their own, surrounded by bytes that do not belong to them. */
function pieces(bytes: string, at: readonly number[]): { buffer: Buffer; start: number; end: number }[] {
  const bounds = [...new Set([0, ...at.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort(
    (a, b) => a - b,
  );
  const result = [];
  for (let i = 0; i + 1 < bounds.length; i++) {
    const piece = Buffer.from(`#\n${bytes.slice(bounds[i], bounds[i + 1])}\n#`, "latin1");
    result.push({ buffer: piece, start: 2, end: piece.length - 2 });
  }
  return result;
}

function parseWith(parser: RequestParser | ResponseParser, bytes: string, at: readonly number[]): unknown {
  let taken = 0;
  for (const { buffer, start, end } of pieces(bytes, at)) {
    const next = parser.parse(buffer, start, end);
    buffer.fill(0xdb);
    if (next === MALFORMED) return { problem: parser.problem };
    if (next !== INCOMPLETE) {
      const { line, fields, contentLength, codings, connection, hopByHop, upgrade, headBytes } = parser;
      return {
        line,
        fields: fields.map((f) => [f.name.text, f.value]),
        contentLength,
        codings,
        connection: Object.entries(connection),
        hopByHop,
        upgrade: upgrade?.value,
        headBytes,
        end: taken + next - start,
      };
    }
    taken += end - start;
  }
  return "incomplete";
}

for (const [what, create] of [
  ["request", () => new RequestParser()],
  ["response", () => new ResponseParser()],
] as const) {
  test(`a ${what} head means the same however its bytes are split`, () => {
    fc.assert(
      fc.property(head, cuts, (bytes, at) => {
        const whole = parseWith(create(), bytes, []);
        const start = Array.from({ length: bytes.length }, (_, i) => i);
        assert.deepEqual(strip(parseWith(create(), bytes, at)), strip(whole));
        assert.deepEqual(strip(parseWith(create(), bytes, start)), strip(whole));
      }),
      { numRuns: 500 },
    );
  });
}

/** Fields as text: that equal ones may be different objects is not the point. */
function strip(result: unknown): unknown {
  return JSON.parse(
    JSON.stringify(result, (key: string, value: unknown) =>
      key === "http1Line" || key === "interned" || key === "staticIndex" ? undefined : value,
    ),
  );
}

const body = fc.oneof(
  fc
    .tuple(
      fc.array(fc.tuple(text("abc\r\n0;", 20), fc.constantFrom("", ";x", ' ;a="b"')), { maxLength: 5 }),
      fc.constantFrom("\r\n", "X: y\r\n\r\n", "Host: evil\r\nY: z\r\n\r\n", ": v\r\n\r\n", "\n"),
    )
    .map(
      ([chunks, end]) =>
        `${chunks
          .filter(([data]) => data !== "")
          .map(([data, ext]) => `${data.length.toString(16)}${ext}\r\n${data}\r\n`)
          .join("")}0\r\n${end}rest`,
    ),
  text("0123af;\r\n :x", 40),
);

function decodeWith(bytes: string, at: readonly number[]): unknown {
  const decoder = new ChunkedDecoder();
  let data = "";
  let taken = 0;
  for (const { buffer, start, end } of pieces(bytes, at)) {
    let position = start;
    for (;;) {
      const step = decoder.next(buffer, position, end);
      position = decoder.position;
      if (step === ChunkStep.data) data += buffer.toString("latin1", decoder.dataStart, decoder.dataEnd);
      else if (step === ChunkStep.malformed) return { data, problem: decoder.problem };
      else if (step === ChunkStep.end) {
        return {
          data,
          end: taken + position - start,
          trailers: decoder.trailers.map((f) => `${f.name.text}: ${f.value}`),
        };
      } else break;
    }
    taken += end - start;
  }
  return { data, more: true };
}

test("a chunked body means the same however its bytes are split", () => {
  fc.assert(
    fc.property(body, cuts, (bytes, at) => {
      const whole = decodeWith(bytes, []);
      assert.deepEqual(decodeWith(bytes, at), whole);
      assert.deepEqual(
        decodeWith(
          bytes,
          Array.from({ length: bytes.length }, (_, i) => i),
        ),
        whole,
      );
    }),
    { numRuns: 1_000 },
  );
});

test("no byte around the coding makes a request that two readers could frame differently", () => {
  const bytes = [
    ...Array.from({ length: 0x21 }, (_, i) => i),
    ...Array.from({ length: 0x81 }, (_, i) => 0x7f + i),
  ];
  for (const byte of bytes) {
    const b = String.fromCharCode(byte);
    const gadgets = [
      `${b}Transfer-Encoding: chunked`,
      `Transfer-Encoding${b}: chunked`,
      `Transfer-Encoding:${b}chunked`,
      `Transfer-Encoding: chunked${b}`,
    ];
    for (const gadget of gadgets) {
      const parser = new RequestParser();
      const text = `POST / HTTP/1.1\r\nHost: h\r\n${gadget}\r\nContent-Length: 5\r\n\r\n`;
      const at = parser.parse(Buffer.from(text, "latin1"), 0, text.length);
      if (at === MALFORMED) continue;
      // A line feed may have ended the head early; then only one of the two is in it.
      assert.ok(
        parser.codings === Codings.none || parser.contentLength === NO_LENGTH,
        JSON.stringify(gadget),
      );
      assert.ok(byte === 0x0a, JSON.stringify(gadget));
    }
  }
});
