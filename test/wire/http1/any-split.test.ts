import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Codings, NO_LENGTH } from "../../../src/wire/http1/framing.ts";
import { MALFORMED, RequestParser, ResponseParser } from "../../../src/wire/http1/parser.ts";
import {
  arbitraryChunked,
  arbitraryCuts,
  arbitraryHead,
  decodeWith,
  parseWith,
  strip,
} from "../../support/h1-messages.ts";

for (const [what, create] of [
  ["request", () => new RequestParser()],
  ["response", () => new ResponseParser()],
] as const) {
  test(`a ${what} head means the same however its bytes are split`, () => {
    fc.assert(
      fc.property(arbitraryHead, arbitraryCuts, (bytes, at) => {
        const whole = parseWith(create(), bytes, []);
        const start = Array.from({ length: bytes.length }, (_, i) => i);
        assert.deepEqual(strip(parseWith(create(), bytes, at)), strip(whole));
        assert.deepEqual(strip(parseWith(create(), bytes, start)), strip(whole));
      }),
      { numRuns: 500 },
    );
  });
}

for (const [what, create] of [
  ["request", () => new RequestParser()],
  ["response", () => new ResponseParser()],
] as const) {
  test(`a ${what} head means the same whatever heads the parser read before it`, () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryHead, { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 80 }),
        fc.constantFrom("", "x", ":", "\r\n", "\r", " "),
        arbitraryCuts,
        (heads, at, extra, cuts) => {
          const parser = create();
          // The last ones are nearly alike: what is expected at a place nearly comes.
          const last = heads.at(-1) ?? "";
          const edited = last.slice(0, at) + extra + last.slice(at + 1);
          for (const bytes of [...heads, last, last, edited, last]) {
            parser.reset();
            assert.deepEqual(strip(parseWith(parser, bytes, cuts)), strip(parseWith(create(), bytes, [])));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
}

test("a chunked body means the same however its bytes are split", () => {
  fc.assert(
    fc.property(arbitraryChunked, arbitraryCuts, (bytes, at) => {
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
