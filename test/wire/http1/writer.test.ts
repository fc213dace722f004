import assert from "node:assert/strict";
import { test } from "node:test";
import { headerField, headerName, internField } from "../../../src/wire/header-field.ts";
import {
  CHUNK_SIZE_BYTES,
  fieldLine,
  requestLine,
  statusLine,
  writeChunkSize,
} from "../../../src/wire/http1/writer.ts";

test("a chunk size is hexadecimal without leading zeros", () => {
  const out = Buffer.alloc(CHUNK_SIZE_BYTES);
  for (const size of [1, 9, 10, 15, 16, 255, 256, 4_095, 65_536, 0xabcdef, 0x7fff_ffff]) {
    const end = writeChunkSize(out, 0, size);
    assert.equal(out.toString("latin1", 0, end), `${size.toString(16)}\r\n`);
  }
});

test("a status line keeps the server's reason, and has the registered one where there was none", () => {
  assert.equal(statusLine(11, 404, undefined), "HTTP/1.1 404 Not Found\r\n");
  assert.equal(statusLine(11, 404, "Not Found"), "HTTP/1.1 404 Not Found\r\n");
  assert.equal(statusLine(11, 404, "Gone Fishing"), "HTTP/1.1 404 Gone Fishing\r\n");
  assert.equal(statusLine(11, 404, ""), "HTTP/1.1 404 \r\n");
  assert.equal(statusLine(10, 200, undefined), "HTTP/1.0 200 OK\r\n");
  assert.equal(statusLine(11, 799, undefined), "HTTP/1.1 799 \r\n");
});

test("a request line carries the version that is spoken", () => {
  assert.equal(requestLine("GET", "/", 11), "GET / HTTP/1.1\r\n");
  assert.equal(requestLine("GET", "/", 10), "GET / HTTP/1.0\r\n");
});

test("only shared fields keep their text", () => {
  const own = headerField(headerName("x-own"), "1");
  const shared = internField(headerName("x-shared"), "1");
  assert.equal(fieldLine(own), "x-own: 1\r\n");
  assert.equal(fieldLine(shared), "x-shared: 1\r\n");
  assert.equal(own.http1Line, undefined);
  assert.equal(shared.http1Line, "x-shared: 1\r\n");
});
