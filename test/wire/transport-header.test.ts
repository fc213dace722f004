import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseDnsName, type DnsName } from "../../src/addr/dns-name.ts";
import {
  encodeTransportHeader,
  parseTransportHeader,
  TRANSPORT_HEADER_BOUND_BYTES,
  type TransportHeader,
} from "../../src/wire/transport-header.ts";

function dns(text: string): DnsName {
  const result = parseDnsName(text);
  assert.ok(result.ok);
  return result.value;
}

const PREFACE = "7472616e73706f72742e6c35642e696f2f76310d0a0d0a";

/** A header around the given message, in hexadecimal. */
function framed(message: string): Buffer {
  const length = (message.length / 2).toString(16).padStart(8, "0");
  return Buffer.from(PREFACE + length + message, "hex");
}

const vectors: readonly (readonly [TransportHeader, string])[] = [
  [{ port: 8080, name: undefined, sessionProtocol: undefined }, "0000000308903f"],
  [{ port: 6379, name: undefined, sessionProtocol: undefined }, "0000000308eb31"],
  [{ port: 8080, name: undefined, sessionProtocol: "http1" }, "0000000708903f1a020a00"],
  [{ port: 8080, name: undefined, sessionProtocol: "http2" }, "0000000708903f1a021200"],
  [
    { port: 4040, name: dns("foo.bar.example.com"), sessionProtocol: "http2" },
    "0000001c08c81f1213666f6f2e6261722e6578616d706c652e636f6d1a021200",
  ],
  [
    { port: 80, name: dns("web.shop.svc.cluster.local"), sessionProtocol: "http1" },
    "000000220850121a7765622e73686f702e7376632e636c75737465722e6c6f63616c1a020a00",
  ],
];

describe("transport header", () => {
  for (const [header, hex] of vectors) {
    it(`is byte-exact for port ${header.port}, ${header.name ?? "no name"}, ${header.sessionProtocol ?? "opaque"}`, () => {
      const bytes = Buffer.from(PREFACE + hex, "hex");
      assert.equal(encodeTransportHeader(header).toString("hex"), bytes.toString("hex"));
      for (let n = 0; n < bytes.length; n++)
        assert.equal(parseTransportHeader(bytes.subarray(0, n)), undefined, String(n));
      assert.deepEqual(parseTransportHeader(bytes), { kind: "header", header, length: bytes.length });
      const followed = Buffer.concat([bytes, Buffer.from("application")]);
      assert.deepEqual(parseTransportHeader(followed), { kind: "header", header, length: bytes.length });
    });
  }

  it("survives the way there and back", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 65535 }),
        fc.option(fc.domain({ size: "small" }).map(dns), { nil: undefined }),
        fc.constantFrom("http1" as const, "http2" as const, undefined),
        (port, name, sessionProtocol) => {
          const header = { port, name, sessionProtocol };
          const bytes = encodeTransportHeader(header);
          assert.deepEqual(parseTransportHeader(bytes), { kind: "header", header, length: bytes.length });
        },
      ),
    );
  });

  it("takes a session protocol without a kind for none, and skips unknown fields", () => {
    const expected = { port: 80, name: undefined, sessionProtocol: undefined };
    for (const message of [
      "08501a00",
      "0850120022020102",
      "085028ffffffffffffffffff01",
      "08502d01020304",
      "0850310102030405060708",
      "08501a021a00",
    ]) {
      const read = parseTransportHeader(framed(message));
      assert.deepEqual(read, { kind: "header", header: expected, length: 27 + message.length / 2 }, message);
    }
  });

  it("lets the last of repeated fields win", () => {
    const read = parseTransportHeader(framed("085008901f1a020a001a021200"));
    assert.ok(read?.kind === "header");
    assert.deepEqual(read.header, { port: 3984, name: undefined, sessionProtocol: "http2" });
  });

  const wrong: readonly (readonly [string, Buffer, RegExp])[] = [
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\n"), /does not begin/],
    ["an empty message", framed(""), /0 is not a port/],
    ["port 0", framed("0800"), /0 is not a port/],
    ["port 65536", framed("08808004"), /65536 is not a port/],
    ["port -1", framed("08ffffffffffffffffff01"), /-1 is not a port/],
    ["a port that is a string", framed("0a0131"), /not a number/],
    ["a name that is a number", framed("08501001"), /not a string/],
    ["a name that is not DNS", framed("0850120361206200".slice(0, 14)), /not a DNS name/],
    ["a name that is not UTF-8", framed("08501202c328"), /not a DNS name/],
    ["a name of 300 bytes", framed(`085012ac02${"61".repeat(300)}`), /not a DNS name/],
    ["a truncated varint", framed("0880"), /malformed/],
    ["a varint of eleven bytes", framed("08ffffffffffffffffffff01"), /malformed/],
    ["a field that leads out of the message", framed("08501205"), /malformed/],
    ["field number 0", framed("0001"), /malformed/],
    ["a group", framed("08502b"), /malformed/],
    ["a session protocol that is malformed", framed("08501a020a05"), /session protocol is malformed/],
    ["a kind that is a number", framed("08501a020801"), /session protocol is malformed/],
    ["a length of 2^32-1", Buffer.from(`${PREFACE}ffffffff`, "hex"), /above the bound/],
    ["a length just above the bound", Buffer.from(`${PREFACE}0000ffe6`, "hex"), /above the bound/],
  ];
  for (const [what, bytes, problem] of wrong) {
    it(`is refused as soon as it shows ${what}`, () => {
      const read = parseTransportHeader(bytes);
      assert.ok(read?.kind === "invalid", JSON.stringify(read));
      assert.match(read.problem, problem);
    });
  }

  it("is read up to the bound", () => {
    // Port 80 and an unknown field of 65503 bytes: 27 + 2 + 4 + 65503 is the bound.
    const start = Buffer.from(`${PREFACE}0000ffe508502adfff03`, "hex");
    const bytes = Buffer.concat([start, Buffer.alloc(65503)]);
    assert.equal(bytes.length, TRANSPORT_HEADER_BOUND_BYTES);
    assert.equal(parseTransportHeader(bytes.subarray(0, -1)), undefined);
    assert.deepEqual(parseTransportHeader(bytes), {
      kind: "header",
      header: { port: 80, name: undefined, sessionProtocol: undefined },
      length: TRANSPORT_HEADER_BOUND_BYTES,
    });
  });

  it("gives a header or a reason for any message, without throwing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (message) => {
        assert.notEqual(parseTransportHeader(framed(Buffer.from(message).toString("hex"))), undefined);
      }),
      { numRuns: 500 },
    );
  });
});
