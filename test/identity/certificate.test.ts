import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { extension } from "../../src/control-plane/ca/extensions.ts";
import { candidateIds, parseCertificate } from "../../src/identity/certificate.ts";
import { sequence } from "../../src/identity/der-writer.ts";
import { OID_SUBJECT_ALT_NAME } from "../../src/identity/oids.ts";
import type { GeneralName } from "../../src/identity/subject-alt-name.ts";
import { TestCa } from "../support/certs.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";

function idsOf(...names: GeneralName[]): string[] {
  const certificate = parseCertificate(TestCa.create().issue({ names }).leafDer);
  assert.ok(certificate.ok, certificate.ok ? "" : certificate.problem);
  return certificate.value.ids.map((id) => `${id.kind}:${id.text}`);
}

const dns = (text: string): GeneralName => ({ kind: "dns", text });
const uri = (text: string): GeneralName => ({ kind: "uri", text });

describe("the identities of a certificate", () => {
  it("are its DNS names and URIs in their order, normalised", () => {
    assert.deepEqual(idsOf(uri("SPIFFE://Root.Example/ns/../sa"), dns("Web.Example"), dns("b.example")), [
      "uri:spiffe://Root.Example/sa",
      "dns:web.example",
      "dns:b.example",
    ]);
  });

  it("pass over addresses, e-mail, wildcards, trailing dots and text that is no URI", () => {
    assert.deepEqual(
      idsOf(
        { kind: "ip", bytes: Buffer.of(127, 0, 0, 1) },
        { kind: "email", text: WEB },
        dns("*.shop.example"),
        dns(`${WEB}.`),
        dns("127.0.0.1"),
        dns(""),
        uri(WEB),
        uri("/relative"),
        dns(WEB),
      ),
      [`dns:${WEB}`],
    );
  });

  it("invariant 11: never come out of the inside of an entry, whatever a printed form would make of it", () => {
    const victims = [
      dns(`evil.example, DNS:${WEB}`),
      dns(`evil.example\n${WEB}`),
      dns(`${WEB}\0.evil.example`),
      dns(`"${WEB}"`),
      dns(` ${WEB}`),
      dns(`\0${WEB}`),
      dns(`${WEB}\u00e9`),
      uri(`\tspiffe://root.example/victim`),
      uri(`spiffe://root.example/vic\ntim`),
      uri(`spiffe://root.example/victim `),
      uri(`spiffe://root.example/vict\u00efm`),
    ];
    for (const victim of victims) assert.deepEqual(idsOf(victim), [], JSON.stringify(victim));
    assert.deepEqual(idsOf(uri(`http://evil.example/,DNS:${WEB}`)), [`uri:http://evil.example/,DNS:${WEB}`]);
  });

  it("are at most one for each entry, and entries that are identities are found among any others", () => {
    const entry = fc.oneof(
      fc.string({ maxLength: 40, unit: "binary-ascii" }).map(dns),
      fc.string({ maxLength: 40, unit: "binary-ascii" }).map(uri),
      fc
        .uint8Array({ maxLength: 16 })
        .map((bytes): GeneralName => ({ kind: "ip", bytes: Buffer.from(bytes) })),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), fc.array(entry, { maxLength: 6 }), (before, after) => {
        const ids = candidateIds([...before, dns(WEB), ...after]);
        assert.ok(ids.length <= before.length + 1 + after.length);
        assert.deepEqual(ids[candidateIds(before).length], { kind: "dns", text: WEB });
      }),
    );
  });
});

describe("a certificate", () => {
  it("tells its validity, role and purposes", () => {
    const ca = TestCa.create();
    const notAfterMs = Math.floor(Date.now() / 1000) * 1000 + 60_000;
    const leaf = parseCertificate(
      ca.issue({ id: WEB, notAfterMs, extKeyUsage: ["1.3.6.1.5.5.7.3.1"] }).leafDer,
    );
    assert.ok(leaf.ok);
    assert.equal(leaf.value.notAfterMs, notAfterMs);
    assert.deepEqual(leaf.value.constraints, { isAuthority: false });
    assert.deepEqual(leaf.value.extKeyUsage, ["1.3.6.1.5.5.7.3.1"]);
    const issuer = parseCertificate(ca.intermediate({ maxIssuersBelow: 3 }).certDer);
    assert.ok(issuer.ok);
    assert.deepEqual(issuer.value.constraints, { isAuthority: true, maxIssuersBelow: 3 });
    const root = parseCertificate(ca.certDer);
    assert.ok(root.ok);
    assert.deepEqual(root.value.constraints, { isAuthority: true, maxIssuersBelow: Infinity });
    assert.ok(issuer.value.issuer.equals(root.value.subject));
  });

  it("is refused if it has two lists of names, or one that is malformed", () => {
    const ca = TestCa.create();
    const other = extension(OID_SUBJECT_ALT_NAME, false, sequence());
    const twice = parseCertificate(ca.issue({ id: WEB, extraExtensions: [other] }).leafDer);
    assert.deepEqual(twice, { ok: false, problem: "not a well-formed X.509 certificate" });
    const garbled = extension(OID_SUBJECT_ALT_NAME, false, Buffer.from("3005820a", "hex"));
    const malformed = parseCertificate(ca.issue({ extraExtensions: [garbled] }).leafDer);
    assert.deepEqual(malformed, {
      ok: false,
      problem: "certificate with malformed subject alternative name",
    });
  });

  it("never throws on changed bytes", () => {
    const { leafDer } = TestCa.create().issue({ id: WEB });
    fc.assert(
      fc.property(fc.nat(leafDer.length - 1), fc.nat(255), fc.nat(leafDer.length), (at, byte, end) => {
        const changed = Buffer.from(leafDer.subarray(0, end));
        if (at < end) changed[at] = byte;
        const result = parseCertificate(changed);
        assert.equal(typeof result.ok, "boolean");
      }),
      { numRuns: 500 },
    );
  });
});
