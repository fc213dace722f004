import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { judgeServerGreeting } from "../../src/detect/server-greeting.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

const GREETINGS: readonly (readonly [string, Buffer, ReturnType<typeof judgeServerGreeting>])[] = [
  ["SMTP", Buffer.from("220 mail.example.com ESMTP\r\n"), "server_first"],
  ["SSH", Buffer.from("SSH-2.0-OpenSSH_9.9\r\n"), "server_first"],
  ["MySQL", hex("4a 00 00 00 0a 38 2e 30"), "server_first"],
  ["a single byte", Buffer.from("+"), "server_first"],
  ["telnet", hex("ff fd 18"), "server_first"],
  ["an HTTP/1 response out of impatience", Buffer.from("HTTP/1.1 408 Request Timeout\r\n\r\n"), "http"],
  ["the start of one", Buffer.from("HTT"), undefined],
  ["something that only begins like one", Buffer.from("HTTQ"), "server_first"],
  ["the SETTINGS of an HTTP/2 server", hex("00 00 12 04 00 00000000 0003 00000064"), "http"],
  ["empty SETTINGS", hex("00 00 00 04 00 00000000"), "http"],
  ["the start of SETTINGS", hex("00 00 12 04"), undefined],
  ["a SETTINGS acknowledgement", hex("00 00 00 04 01 00000000"), "server_first"],
  ["SETTINGS on a stream", hex("00 00 06 04 00 00000001"), "server_first"],
  ["another frame", hex("00 00 08 06 00 00000000"), "server_first"],
  ["a length that is no settings", hex("00 00 11 04 00 00000000"), "server_first"],
  ["SETTINGS that are too long", hex("00 40 02 04 00 00000000"), "server_first"],
];

for (const [what, bytes, expected] of GREETINGS) {
  test(`a server that begins with ${what}: ${expected ?? "undecided"}`, () => {
    assert.equal(judgeServerGreeting(bytes), expected);
  });
}

test("more bytes never change an answer, and nine are enough for one", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 20 }),
    fc.constantFrom(...GREETINGS.map(([, greeting]) => greeting)),
  );
  fc.assert(
    fc.property(bytes, fc.uint8Array({ maxLength: 12 }), (start, more) => {
      const whole = Buffer.concat([start, more]);
      const early = judgeServerGreeting(start);
      if (early !== undefined) assert.equal(judgeServerGreeting(whole), early);
      if (whole.length >= 9) assert.notEqual(judgeServerGreeting(whole), undefined);
    }),
  );
});
