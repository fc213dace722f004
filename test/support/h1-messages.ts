/** HTTP/1 messages, right and nearly right, and what our parsers make of them however their bytes are cut. */
import * as fc from "fast-check";
import { ChunkedDecoder, ChunkStep } from "../../src/wire/http1/chunked.ts";
import {
  INCOMPLETE,
  MALFORMED,
  type RequestParser,
  type ResponseParser,
} from "../../src/wire/http1/parser.ts";

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
/** Heads followed by other bytes; latin1. */
export const arbitraryHead = fc
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

/** Places where a message is cut into reads. */
export const arbitraryCuts = fc.array(fc.nat({ max: 300 }), { maxLength: 12 });

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

/** What a parser says of a head that is cut at the places given: its problem, its parts, or that it wants more. */
export function parseWith(
  parser: RequestParser | ResponseParser,
  bytes: string,
  at: readonly number[],
): unknown {
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

/** Fields as text: that equal ones may be different objects is not the point. */
export function strip(result: unknown): unknown {
  return JSON.parse(
    JSON.stringify(result, (key: string, value: unknown) =>
      key === "http1Line" || key === "interned" || key === "staticIndex" ? undefined : value,
    ),
  );
}

/** Chunked bodies followed by other bytes; latin1. */
export const arbitraryChunked = fc.oneof(
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

/** What the decoder says of a chunked body that is cut at the places given. */
export function decodeWith(bytes: string, at: readonly number[]): unknown {
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
