/** What decides by the first bytes of a connection. Each may change its mind at no time, and must make it up in bounds. */
import assert from "node:assert/strict";
import { parseDnsName } from "../../../src/addr/dns-name.ts";
import { CLIENT_HELLO_BOUND_BYTES, parseClientHello } from "../../../src/wire/client-hello.ts";
import { detectHttpPreface, HTTP_PREFACE_BOUND_BYTES } from "../../../src/wire/http-preface.ts";
import {
  encodeTransportHeader,
  parseTransportHeader,
  TRANSPORT_HEADER_ALPN,
  TRANSPORT_HEADER_BOUND_BYTES,
} from "../../../src/wire/transport-header.ts";
import { realHello } from "../../support/client-hello.ts";
import { words, type FuzzTarget, type Input } from "../target.ts";

/** Prefixes looked at: all of a short input, some of a long one. */
const PREFIXES = 300;

/** Once there is an answer it stays, whatever follows; and none is waited for beyond `bound`. */
function checkPrefixes(input: Input, bound: number, read: (bytes: Buffer) => unknown): unknown {
  const bytes = Buffer.concat(input);
  const step = Math.max(1, Math.floor(bytes.length / PREFIXES));
  const answer = read(bytes);
  for (let length = 0; length < bytes.length; length += step) {
    const early = read(bytes.subarray(0, length));
    if (early !== undefined) assert.deepEqual(early, answer, `another answer after ${length} bytes`);
  }
  const long = Buffer.alloc(Math.max(bound, bytes.length), "a");
  bytes.copy(long);
  const last = read(long);
  assert.notEqual(last, undefined, "no answer at the bound");
  if (answer !== undefined) assert.deepEqual(last, answer, "another answer at the bound");
  return answer;
}

export const clientHello: FuzzTarget = {
  name: "client-hello",
  dictionary: words(
    "\0\0",
    "\0\x10",
    "\x16\x03\x01",
    "\x03\x03",
    "\xff\xff",
    "\0\x0e\0\0\x0bexample.com",
    "h2",
  ),
  seeds: async () => [
    [await realHello({ servername: "web.example.com", ALPNProtocols: ["h2", TRANSPORT_HEADER_ALPN] })],
    [await realHello({ servername: "web.example.com", maxVersion: "TLSv1.2" })],
    [await realHello({})],
  ],
  run: (input) => {
    checkPrefixes(input, CLIENT_HELLO_BOUND_BYTES, parseClientHello);
    const hello = parseClientHello(Buffer.concat(input));
    if (hello === undefined) return ["more"];
    return [
      hello.kind === "not_tls" ? hello.kind : `${hello.kind}, ${Math.min(hello.alpn.length, 3)} protocols`,
    ];
  },
};

export const httpPreface: FuzzTarget = {
  name: "http-preface",
  dictionary: words(
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
    "\xc3\xa9",
  ),
  seeds: () =>
    [
      "GET / HTTP/1.1\r\n",
      "\r\n\r\nPOST /a?b HTTP/1.0\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "SSH-2.0-x\r\n",
    ].map((text) => words(text)),
  run: (input) => [String(checkPrefixes(input, HTTP_PREFACE_BOUND_BYTES, detectHttpPreface))],
};

export const transportHeader: FuzzTarget = {
  name: "transport-header",
  dictionary: words(
    "\x08\x50",
    "\x12\x03a.b",
    "\x1a\x02\x0a\0",
    "\x1a\x02\x12\0",
    "\xff\xff\xff\xff\x0f",
    "\x2d",
    "\x31",
  ),
  seeds: () => {
    const name = parseDnsName("web.shop.svc.cluster.local");
    assert.ok(name.ok);
    return [
      [encodeTransportHeader({ port: 80, name: undefined, sessionProtocol: undefined })],
      [encodeTransportHeader({ port: 65_535, name: name.value, sessionProtocol: "http1" })],
      [encodeTransportHeader({ port: 1, name: name.value, sessionProtocol: "http2" }), Buffer.from("PRI * ")],
    ];
  },
  run: (input) => {
    // A length above the bound is refused at once, so that every input has its answer by then.
    checkPrefixes(input, TRANSPORT_HEADER_BOUND_BYTES, parseTransportHeader);
    const result = parseTransportHeader(Buffer.concat(input));
    if (result?.kind === "header") {
      const bytes = encodeTransportHeader(result.header);
      assert.deepEqual(parseTransportHeader(bytes), {
        kind: "header",
        header: result.header,
        length: bytes.length,
      });
    }
    if (result?.kind === "invalid") return [result.problem.replace(/-?\d+/g, "N")];
    if (result === undefined) return ["more"];
    const { name, sessionProtocol } = result.header;
    return [`header ${name !== undefined} ${String(sessionProtocol)}`];
  },
};
