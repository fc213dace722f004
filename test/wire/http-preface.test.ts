import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { detectHttpPreface, HTTP_PREFACE_BOUND_BYTES } from "../../src/wire/http-preface.ts";

const detect = (text: string): unknown => detectHttpPreface(Buffer.from(text, "latin1"));

describe("detectHttpPreface", () => {
  for (const line of [
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.0\n",
    "\r\n\r\nPOST /a?b=c HTTP/1.1\r\n",
    "\n\nM-SEARCH * HTTP/1.1\r\n",
    "CONNECT web.example.com:443 HTTP/1.1\r\n",
    "PRI /not-the-preface HTTP/1.1\r\n",
    "P / HTTP/1.1\r\n",
    "G!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n",
    `GET /${"a".repeat(7000)} HTTP/1.1\r\n`,
    "GET /\xc3\xa9 HTTP/1.1\r\n",
  ]) {
    it(`waits for the whole of ${JSON.stringify(line.slice(0, 40))}, however it is cut`, () => {
      for (let n = 0; n < line.length; n++) assert.equal(detect(line.slice(0, n)), undefined, String(n));
      assert.equal(detect(line), "http1");
      assert.equal(detect(`${line}Host: a\r\n\r\n`), "http1");
    });
  }

  it("knows the HTTP/2 preface by its first fourteen bytes", () => {
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (let n = 0; n < 14; n++) assert.equal(detect(preface.slice(0, n)), undefined, String(n));
    for (let n = 14; n <= preface.length; n++) assert.equal(detect(preface.slice(0, n)), "http2", String(n));
  });

  for (const bytes of [
    "SSH-",
    "SSH-2.0-OpenSSH_9.6\r\n",
    "\x16\x03\x01",
    "\x00",
    " GET / HTTP/1.1\r\n",
    "GET  / HTTP/1.1\r\n",
    "GET /\r",
    "GET / HTTP/2",
    "GET / HTTP/1.2",
    "GET / http",
    "GET / HTTP/1.1 ",
    "GET / HTTP/1.1\rX",
    "GET /\x7f",
    "GET /\x01",
    "GET /\xff HTTP/1.1\r\n",
    "\rG",
    "HELO mail.example.com\r",
    "PRI * HTTP/3",
    "GET\t/",
    "*1\r",
  ]) {
    it(`says at once that ${JSON.stringify(bytes)} is not HTTP`, () => {
      assert.equal(detect(bytes), "not_http");
    });
  }

  it("takes a request line that does not end within the bound for HTTP/1", () => {
    const long = `GET /${"a".repeat(HTTP_PREFACE_BOUND_BYTES)}`;
    assert.equal(detect(long.slice(0, HTTP_PREFACE_BOUND_BYTES - 1)), undefined);
    assert.equal(detect(long.slice(0, HTTP_PREFACE_BOUND_BYTES)), "http1");
  });

  it("never changes its mind and decides within the bound, whatever the bytes", () => {
    const pieces = fc.constantFrom(
      "GET",
      "PRI",
      " ",
      "*",
      "/",
      "HTTP/",
      "1.1",
      "2.0",
      "\r\n",
      "\n",
      "SSH-",
      "\x80",
    );
    const input = fc.oneof(
      fc.array(pieces, { maxLength: 12 }).map((parts) => Buffer.from(parts.join(""), "latin1")),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(input, fc.nat(80), (bytes, cut) => {
        const early = detectHttpPreface(bytes.subarray(0, cut));
        if (early !== undefined) assert.equal(detectHttpPreface(bytes), early);
        const padded = Buffer.alloc(HTTP_PREFACE_BOUND_BYTES, "a");
        padded.set(bytes);
        assert.notEqual(detectHttpPreface(padded), undefined);
      }),
    );
  });
});
