import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { CLIENT_HELLO_BOUND_BYTES, parseClientHello } from "../../src/wire/client-hello.ts";
import { u16, vector16, extension, serverName, alpn, hello, realHello } from "../support/client-hello.ts";

describe("parseClientHello", () => {
  it("finds name and protocols, in whatever order the extensions come", () => {
    const sni = serverName("web.shop.serviceaccount.identity.linkerd.cluster.local");
    const protocols = alpn("transport.l5d.io/v1", "h2");
    const other = extension(51, Array<number>(1216).fill(1));
    for (const extensions of [
      [...sni, ...protocols, ...other],
      [...other, ...protocols, ...sni],
    ]) {
      assert.deepEqual(parseClientHello(hello({ extensions })), {
        kind: "sni",
        name: "web.shop.serviceaccount.identity.linkerd.cluster.local",
        alpn: ["transport.l5d.io/v1", "h2"],
      });
    }
  });

  it("needs more for every proper prefix and then always says the same", () => {
    const whole = hello({ extensions: [...alpn("h2"), ...serverName("a.example.com")] });
    for (let n = 0; n < whole.length; n++)
      assert.equal(parseClientHello(whole.subarray(0, n)), undefined, String(n));
    const expected = { kind: "sni", name: "a.example.com", alpn: ["h2"] };
    assert.deepEqual(parseClientHello(whole), expected);
    assert.deepEqual(parseClientHello(Buffer.concat([whole, Buffer.from("early data")])), expected);
  });

  it("reads what a real client sends", async () => {
    const bytes = await realHello({ servername: "real.example.com", ALPNProtocols: ["h2", "http/1.1"] });
    assert.deepEqual(parseClientHello(bytes), {
      kind: "sni",
      name: "real.example.com",
      alpn: ["h2", "http/1.1"],
    });
    assert.deepEqual(parseClientHello(await realHello({})), { kind: "no_sni", alpn: [] });
  });

  it("lower-cases the name and keeps a trailing dot, which is another name", () => {
    const named = (host: string): unknown => parseClientHello(hello({ extensions: serverName(host) }));
    assert.deepEqual(named("WEB.Example.COM"), { kind: "sni", name: "web.example.com", alpn: [] });
    assert.deepEqual(named("web.example.com."), { kind: "sni", name: "web.example.com.", alpn: [] });
  });

  it("takes names that are no DNS names, and hellos without a name, for no name", () => {
    for (const host of ["192.0.2.1", "*.example.com", "-a.example", "a b", "\xff.example"]) {
      assert.equal(parseClientHello(hello({ extensions: serverName(host) }))?.kind, "no_sni", host);
    }
    assert.deepEqual(parseClientHello(hello({})), { kind: "no_sni", alpn: [] });
    assert.deepEqual(parseClientHello(hello({ extensions: alpn("h2") })), { kind: "no_sni", alpn: ["h2"] });
  });

  it("holds on to a name that it has read, whatever stands behind it", () => {
    const sni = serverName("a.example.com");
    const found = { kind: "sni", name: "a.example.com", alpn: [] };
    assert.deepEqual(parseClientHello(hello({ extensions: [...sni, 0, 51, 0xff, 0xff] })), found);
    assert.deepEqual(parseClientHello(hello({ extensions: [...sni, 0] })), found);
    const badProtocol = extension(16, vector16([9, 1]));
    assert.deepEqual(parseClientHello(hello({ extensions: [...badProtocol, ...sni] })), found);
  });

  const wrong: readonly (readonly [string, Buffer])[] = [
    ["plain HTTP", Buffer.from("GET / HTTP/1.1\r\n")],
    ["another record type", Buffer.from([0x17, 3, 3])],
    ["SSL 3 as major version 2", Buffer.from([0x16, 2])],
    ["minor version 0", hello({ extensions: serverName("a.example"), minor: 0 })],
    ["minor version 2", hello({ extensions: serverName("a.example"), minor: 2 })],
    ["a record too short for a handshake", Buffer.from([0x16, 3, 1, 0, 3])],
    ["a record beyond the bound", Buffer.from([0x16, 3, 1, ...u16(CLIENT_HELLO_BOUND_BYTES - 4)])],
    ["another handshake message", Buffer.from([0x16, 3, 1, 0, 60, 2])],
    [
      "a handshake of 2^16 and more",
      hello({ extensions: serverName("a.example"), handshakeLength: 0x10000 }),
    ],
    ["a handshake split over records", hello({ extensions: serverName("a.example"), handshakeLength: 500 })],
    ["more after the handshake in its record", hello({ extensions: serverName("a.example"), after: [0, 0] })],
    ["another legacy version", hello({ extensions: serverName("a.example"), legacyVersion: [3, 2] })],
    ["a name type that is no host name", hello({ extensions: serverName("a.example", 1) })],
    ["an empty list of names", hello({ extensions: extension(0, vector16([])) })],
    ["an extension that leads out of the list", hello({ extensions: [0, 0, 0xff, 0xff] })],
    ["half an extension header", hello({ extensions: [0, 51, 0] })],
  ];
  for (const [what, bytes] of wrong) {
    it(`says at once that it is not TLS: ${what}`, () => {
      assert.deepEqual(parseClientHello(bytes), { kind: "not_tls" });
    });
  }

  it("takes a record that fills the bound exactly, and never asks for more than it", () => {
    const fixed = hello({ extensions: [...serverName("a.example"), ...extension(21, [])] }).length;
    const padding = Array<number>(CLIENT_HELLO_BOUND_BYTES - fixed).fill(0);
    const whole = hello({ extensions: [...serverName("a.example"), ...extension(21, padding)] });
    assert.equal(whole.length, CLIENT_HELLO_BOUND_BYTES);
    assert.equal(parseClientHello(whole.subarray(0, -1)), undefined);
    assert.equal(parseClientHello(whole)?.kind, "sni");
  });

  it("decides within the bound, and the same for longer input, whatever the bytes", () => {
    const whole = hello({ extensions: [...alpn("h2"), ...serverName("a.example.com")] });
    const mutated = fc
      .array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 })
      .map((changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), fc.nat(400), (bytes, cut) => {
        const early = parseClientHello(bytes.subarray(0, cut));
        const late = parseClientHello(bytes);
        if (early !== undefined) assert.deepEqual(late, early);
        const padded = Buffer.alloc(CLIENT_HELLO_BOUND_BYTES);
        padded.set(bytes);
        assert.notEqual(parseClientHello(padded), undefined);
      }),
    );
  });
});
