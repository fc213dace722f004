import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseTrustRoots } from "../../src/identity/trust-roots.ts";
import { TestCa } from "../support/certs.ts";

describe("trust anchors", () => {
  it("are read from a bundle with comments, blank lines and CRLF", () => {
    const [a, b] = [TestCa.create({ name: "a" }), TestCa.create({ name: "b" })];
    const bundle = `# our roots\n\n${a.certPem}\nissued by hand\n${b.certPem.replaceAll("\n", "\r\n")}\n\n`;
    const result = parseTrustRoots(bundle);
    assert.ok(result.ok);
    assert.deepEqual(
      result.value.roots.anchors.map((anchor) => anchor.der),
      [a.certDer, b.certDer],
    );
    assert.deepEqual(result.value.warnings, []);
    assert.equal(result.value.roots.pem.length, 2);
  });

  it("may be listed twice and count once", () => {
    const ca = TestCa.create();
    const result = parseTrustRoots(ca.certPem + ca.certPem);
    assert.ok(result.ok && result.value.roots.anchors.length === 1);
  });

  it("are used without those that cannot be read, each with a warning that says which", () => {
    const ca = TestCa.create();
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const result = parseTrustRoots(`${broken}-----BEGIN CERTIFICATE-----\nMII\n${ca.certPem}`);
    assert.ok(result.ok);
    assert.deepEqual(result.value.warnings, [
      "trust anchor 1 skipped: not an X.509 certificate",
      "trust anchor 2 skipped: no END line",
    ]);
    assert.equal(result.value.roots.anchors.length, 1);
  });

  it("are a problem if none is usable", () => {
    for (const text of ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]) {
      assert.equal(parseTrustRoots(text).ok, false, text);
    }
  });
});
