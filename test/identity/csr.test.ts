import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseCsr, writeCsr } from "../../src/identity/csr.ts";
import {
  bitString,
  contextConstructed,
  octetString,
  oid,
  sequence,
  setOfOne,
  smallInteger,
} from "../../src/identity/der-writer.ts";
import {
  OID_ECDSA_WITH_SHA256,
  OID_EXTENSION_REQUEST,
  OID_SUBJECT_ALT_NAME,
} from "../../src/identity/oids.ts";
import { writeGeneralNames } from "../../src/identity/subject-alt-name.ts";
import { pem } from "../support/certs.ts";
import { OPENSSL_MISSING, runOpenssl, ScratchDir } from "../support/openssl.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";

function newKey() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

describe("a certificate request", () => {
  it("is, up to its signature, byte for byte what the identity service expects", () => {
    const key = newKey();
    const csr = writeCsr(WEB, key);
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    const name = Buffer.from(WEB, "latin1");
    const header = (tag: number, content: Buffer): Buffer =>
      Buffer.concat([Buffer.of(tag, content.length), content]);
    const san = header(0x30, header(0x82, name));
    const extension = header(0x30, Buffer.concat([Buffer.from("0603551d11", "hex"), header(0x04, san)]));
    const attribute = header(
      0x30,
      Buffer.concat([Buffer.from("06092a864886f70d01090e", "hex"), header(0x31, header(0x30, extension))]),
    );
    const attributes = header(0xa0, attribute);
    assert.equal(
      spki.subarray(0, 27).toString("hex"),
      "3059301306072a8648ce3d020106082a8648ce3d03010703420004".slice(0, 54),
    );
    const info = Buffer.concat([Buffer.from("0201003000", "hex"), spki, attributes]);
    assert.ok(info.length > 127 && info.length < 256);
    const expected = Buffer.concat([
      Buffer.of(0x30, 0x81, info.length),
      info,
      Buffer.from("300a06082a8648ce3d040302", "hex"),
    ]);
    const start = csr[1] === 0x82 ? 4 : 3;
    assert.equal(csr.subarray(start, start + expected.length).toString("hex"), expected.toString("hex"));
    assert.equal(csr[start + expected.length], 0x03);
  });

  it("asks for names longer than a common name may be", () => {
    const long = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.serviceaccount.identity.linkerd.cluster.local`;
    const csr = parseCsr(writeCsr(long, newKey()));
    assert.ok(csr.ok);
    assert.deepEqual(csr.value.names, [{ kind: "dns", text: long }]);
    assert.deepEqual(csr.value.commonNames, []);
  });

  it("is verified and understood by OpenSSL", { skip: OPENSSL_MISSING }, () => {
    using files = new ScratchDir();
    const path = files.write("csr.pem", pem("CERTIFICATE REQUEST", writeCsr(WEB, newKey())));
    const { status, output } = runOpenssl(["req", "-in", path, "-verify", "-noout", "-text"]);
    assert.equal(status, 0, output);
    assert.match(output, /verify OK/i);
    assert.match(output, new RegExp(`DNS:${WEB}\\n`));
    assert.match(output, /Version: 1 \(0x0\)\s+Subject:\s*\n/);
    assert.match(output, /Signature Algorithm: ecdsa-with-SHA256/);
  });

  it("of OpenSSL's making is read with its common name", { skip: OPENSSL_MISSING }, () => {
    using files = new ScratchDir();
    const keyPath = files.write("key.pem", newKey().export({ type: "pkcs8", format: "pem" }));
    const out = `${files.path}/csr.der`;
    const args = [
      "req",
      "-new",
      "-key",
      keyPath,
      "-subj",
      `/CN=${WEB}`,
      "-addext",
      `subjectAltName=DNS:${WEB}`,
    ];
    assert.equal(runOpenssl([...args, "-outform", "DER", "-out", out]).status, 0);
    const csr = parseCsr(files.read("csr.der"));
    assert.ok(csr.ok, csr.ok ? "" : csr.problem);
    assert.deepEqual(csr.value.commonNames, [WEB]);
    assert.deepEqual(csr.value.names, [{ kind: "dns", text: WEB }]);
  });

  it("is refused if its signature was made by another key", () => {
    const csr = writeCsr(WEB, newKey());
    const other = createPublicKey(newKey()).export({ type: "spki", format: "der" });
    const own = csr.indexOf(other.subarray(0, 27));
    const swapped = Buffer.concat([csr.subarray(0, own), other, csr.subarray(own + other.length)]);
    const result = parseCsr(swapped);
    assert.ok(!result.ok);
    assert.match(result.problem, /signature does not verify/);
  });

  it("is refused with a key that is not ECDSA on a TLS curve", () => {
    for (const key of [
      generateKeyPairSync("ed25519").privateKey,
      generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
    ]) {
      const info = sequence(
        smallInteger(0),
        sequence(),
        createPublicKey(key).export({ type: "spki", format: "der" }),
      );
      const csr = sequence(info, sequence(oid(OID_ECDSA_WITH_SHA256)), bitString(Buffer.alloc(64)));
      const result = parseCsr(csr);
      assert.ok(!result.ok);
      assert.match(result.problem, /without an ECDSA key/);
    }
  });

  it("is refused if it names an extension or the request for extensions twice", () => {
    const key = newKey();
    const san = (name: string): Buffer =>
      sequence(oid(OID_SUBJECT_ALT_NAME), octetString(writeGeneralNames([{ kind: "dns", text: name }])));
    const request = (...sans: Buffer[]): Buffer =>
      sequence(oid(OID_EXTENSION_REQUEST), setOfOne(sequence(...sans)));
    const twice = [
      request(san(WEB), san("victim.example")),
      Buffer.concat([request(san(WEB)), request(san("victim.example"))]),
    ];
    for (const attributes of twice) {
      const spki = createPublicKey(key).export({ type: "spki", format: "der" });
      const info = sequence(smallInteger(0), sequence(), spki, contextConstructed(0, attributes));
      const csr = sequence(info, sequence(oid(OID_ECDSA_WITH_SHA256)), bitString(sign("sha256", info, key)));
      const result = parseCsr(csr);
      assert.ok(!result.ok);
      assert.match(result.problem, /malformed extensions/);
    }
  });

  it("never throws and is never accepted when a byte of it changes", () => {
    const csr = writeCsr(WEB, newKey());
    fc.assert(
      fc.property(fc.nat(csr.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(csr);
        changed[at] = (changed[at] ?? 0) ^ flip;
        assert.equal(parseCsr(changed).ok, false);
      }),
      { numRuns: 300 },
    );
  });
});
