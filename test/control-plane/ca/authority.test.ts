import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { Authority, DEFAULT_ISSUE_POLICY, type Issued } from "../../../src/control-plane/ca/authority.ts";
import {
  AUTHORITY_LIFETIME_MS,
  createAuthorityMaterial,
} from "../../../src/control-plane/ca/create-authority.ts";
import {
  bitString,
  contextConstructed,
  octetString,
  oid,
  sequence,
  setOfOne,
  smallInteger,
} from "../../../src/identity/der-writer.ts";
import { distinguishedName } from "../../../src/control-plane/ca/certificate.ts";
import { parseDnsName } from "../../../src/addr/dns-name.ts";
import { writeCsr } from "../../../src/identity/csr.ts";
import { parseId } from "../../../src/identity/id.ts";
import { generateKeyAndCsr } from "../../../src/identity/key.ts";
import {
  OID_ECDSA_WITH_SHA256,
  OID_EXTENSION_REQUEST,
  OID_SUBJECT_ALT_NAME,
} from "../../../src/identity/oids.ts";
import { writeGeneralNames, type GeneralName } from "../../../src/identity/subject-alt-name.ts";
import { parseTrustRoots } from "../../../src/identity/trust-roots.ts";
import type { Parsed } from "../../../src/parsed.ts";
import { CredentialsStore } from "../../../src/tls/credentials.ts";
import { pem } from "../../support/certs.ts";
import { OPENSSL_MISSING, runOpenssl, ScratchDir } from "../../support/openssl.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const NOW_MS = Date.now();
const SECOND_MS = 1000;

function unwrap<T>(result: Parsed<T>): T {
  assert.ok(result.ok, result.ok ? "" : result.problem);
  return result.value;
}

function issue(
  authority: Authority,
  identity = WEB,
  policy = DEFAULT_ISSUE_POLICY,
): { issued: Issued; key: KeyObject } {
  const { key, csr } = generateKeyAndCsr(identity);
  return { issued: unwrap(authority.issue(csr, identity, policy, NOW_MS)), key };
}

/** A request that says whatever a hostile client likes. */
function csrOf(names: readonly GeneralName[], commonName = ""): Buffer {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const san = sequence(oid(OID_SUBJECT_ALT_NAME), octetString(writeGeneralNames(names)));
  const info = sequence(
    smallInteger(0),
    distinguishedName(commonName),
    createPublicKey(key).export({ type: "spki", format: "der" }),
    contextConstructed(0, sequence(oid(OID_EXTENSION_REQUEST), setOfOne(sequence(san)))),
  );
  return sequence(info, sequence(oid(OID_ECDSA_WITH_SHA256)), bitString(sign("sha256", info, key)));
}

describe("the embedded authority", () => {
  it("issues certificates that a proxy of the mesh takes for its own", () => {
    const authority = Authority.create("cluster.local", NOW_MS);
    const { issued, key } = issue(authority);
    const roots = unwrap(parseTrustRoots(authority.trustAnchorsPem)).roots;
    const store = new CredentialsStore(unwrap(parseId(WEB)), unwrap(parseDnsName(WEB)), roots);
    const certified = unwrap(
      store.setCertificate(issued.leaf, issued.intermediates, key, issued.notAfterMs, NOW_MS),
    );
    assert.deepEqual(certified.chain.leaf.ids, [{ kind: "dns", text: WEB }]);
  });

  it("signs leaves by an issuer, and the issuer by a root", () => {
    const authority = Authority.create("cluster.local", NOW_MS);
    const leaf = new X509Certificate(issue(authority).issued.leaf);
    const [issuerDer] = issue(authority).issued.intermediates;
    assert.ok(issuerDer !== undefined);
    const issuer = new X509Certificate(issuerDer);
    const root = new X509Certificate(authority.trustAnchorsPem);
    assert.ok(leaf.verify(issuer.publicKey) && leaf.checkIssued(issuer));
    assert.ok(issuer.verify(root.publicKey) && issuer.checkIssued(root));
    assert.equal(
      root.validToDate.getTime(),
      Math.floor((NOW_MS + AUTHORITY_LIFETIME_MS) / SECOND_MS) * SECOND_MS,
    );
  });

  it("is believed by OpenSSL under its strictest rules, for both purposes", { skip: OPENSSL_MISSING }, () => {
    using files = new ScratchDir();
    const authority = Authority.create("cluster.local", NOW_MS);
    const { issued } = issue(authority);
    const ca = files.write("ca.pem", authority.trustAnchorsPem);
    const issuer = files.write(
      "issuer.pem",
      issued.intermediates.map((der) => pem("CERTIFICATE", der)).join(""),
    );
    const leaf = files.write("leaf.pem", pem("CERTIFICATE", issued.leaf));
    for (const purpose of ["sslserver", "sslclient"]) {
      const args = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca, "-untrusted", issuer];
      const { status, output } = runOpenssl([...args, "-verify_hostname", WEB, leaf]);
      assert.equal(status, 0, output);
    }
    const { output } = runOpenssl(["x509", "-in", leaf, "-noout", "-text"]);
    assert.match(output, /Key Usage: critical\s+Digital Signature, Key Encipherment\n/);
    assert.match(
      output,
      /Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication\n/,
    );
    assert.match(output, /Basic Constraints: critical\s+CA:FALSE\n/);
    assert.match(output, new RegExp(`Subject Alternative Name: critical\\s+DNS:${WEB}\\n`));
    assert.match(output, /Subject Key Identifier/);
    assert.match(output, /Authority Key Identifier/);
    assert.match(output, /Signature Algorithm: ecdsa-with-SHA256/);
  });

  it("gives certificates a day with 20 seconds at both ends, and tells their end", () => {
    const { issued } = issue(Authority.create("cluster.local", NOW_MS));
    const leaf = new X509Certificate(issued.leaf);
    assert.equal(leaf.validFromDate.getTime(), Math.floor(NOW_MS / SECOND_MS) * SECOND_MS - 20 * SECOND_MS);
    const end = Math.ceil(NOW_MS / SECOND_MS) * SECOND_MS + 86_420 * SECOND_MS;
    assert.equal(leaf.validToDate.getTime(), end);
    assert.equal(issued.notAfterMs, end);
  });

  it("makes a certificate of one second without skew that is valid now", () => {
    const policy = { lifetimeMs: SECOND_MS, clockSkewMs: 0 };
    const { issued } = issue(Authority.create("cluster.local", NOW_MS), WEB, policy);
    const leaf = new X509Certificate(issued.leaf);
    assert.ok(leaf.validFromDate.getTime() <= NOW_MS);
    assert.ok(leaf.validToDate.getTime() >= NOW_MS + SECOND_MS);
    assert.ok(leaf.validToDate.getTime() < NOW_MS + 2 * SECOND_MS);
  });

  it("issues nothing that outlives its issuer", () => {
    const material = createAuthorityMaterial(
      "cluster.local",
      NOW_MS - AUTHORITY_LIFETIME_MS + 60 * SECOND_MS,
    );
    const { issued } = issue(unwrap(Authority.of(material, NOW_MS)));
    assert.ok(issued.notAfterMs <= NOW_MS + 60 * SECOND_MS);
    const { csr } = generateKeyAndCsr(WEB);
    const late = unwrap(Authority.of(material, NOW_MS)).issue(
      csr,
      WEB,
      DEFAULT_ISSUE_POLICY,
      NOW_MS + 61 * SECOND_MS,
    );
    assert.deepEqual(late, { ok: false, problem: "the issuer certificate has expired" });
  });

  it("gives every certificate a serial number of its own", () => {
    const authority = Authority.create("cluster.local", NOW_MS);
    const serials = new Set(
      Array.from({ length: 20 }, () => new X509Certificate(issue(authority).issued.leaf).serialNumber),
    );
    assert.equal(serials.size, 20);
  });

  it("certifies a SPIFFE identity as one URI", () => {
    const spiffe = "spiffe://root.linkerd.cluster.local/external-workload";
    const csr = csrOf([{ kind: "uri", text: spiffe }]);
    const issued = unwrap(
      Authority.create("cluster.local", NOW_MS).issue(csr, spiffe, DEFAULT_ISSUE_POLICY, NOW_MS),
    );
    assert.equal(new X509Certificate(issued.leaf).subjectAltName, `URI:${spiffe}`);
  });

  const refused: readonly [string, Buffer, RegExp][] = [
    [
      "for another name",
      writeCsr("victim.example", generateKeyAndCsr(WEB).key),
      /alternative name is not the identity/,
    ],
    [
      "for two names",
      csrOf([
        { kind: "dns", text: WEB },
        { kind: "dns", text: "victim.example" },
      ]),
      /has 2 subject alternative names/,
    ],
    [
      "for a name and an address",
      csrOf([
        { kind: "dns", text: WEB },
        { kind: "ip", bytes: Buffer.of(10, 0, 0, 1) },
      ]),
      /has 2 subject/,
    ],
    ["for no name", csrOf([]), /has 0 subject alternative names/],
    ["for the name as URI", csrOf([{ kind: "uri", text: WEB }]), /is not the identity/],
    ["for the name as e-mail", csrOf([{ kind: "email", text: WEB }]), /is not the identity/],
    ["for the name with a dot", csrOf([{ kind: "dns", text: `${WEB}.` }]), /is not the identity/],
    [
      "for a wildcard",
      csrOf([{ kind: "dns", text: "*.shop.serviceaccount.identity.linkerd.cluster.local" }]),
      /is not the identity/,
    ],
    [
      "with another common name",
      csrOf([{ kind: "dns", text: WEB }], "victim.example"),
      /common name is not the identity/,
    ],
    ["that is garbage", Buffer.from("garbage"), /not a PKCS#10 certificate request/],
    ["that is empty", Buffer.alloc(0), /not a PKCS#10 certificate request/],
  ];
  for (const [what, csr, pattern] of refused) {
    it(`refuses a request ${what}`, () => {
      const result = Authority.create("cluster.local", NOW_MS).issue(csr, WEB, DEFAULT_ISSUE_POLICY, NOW_MS);
      assert.ok(!result.ok);
      assert.match(result.problem, pattern);
    });
  }

  it("accepts the request of the usual launcher, with the identity as common name", () => {
    const csr = csrOf([{ kind: "dns", text: WEB }], WEB);
    unwrap(Authority.create("cluster.local", NOW_MS).issue(csr, WEB, DEFAULT_ISSUE_POLICY, NOW_MS));
  });

  it("is not made of parts that do not belong together", () => {
    const [a, b] = [
      createAuthorityMaterial("a.example", NOW_MS),
      createAuthorityMaterial("b.example", NOW_MS),
    ];
    const cases: readonly [Parameters<typeof Authority.of>[0], RegExp][] = [
      [{ ...a, issuerKey: b.issuerKey }, /issuer: certificate belongs to another key/],
      [{ ...a, anchors: b.anchors }, /issuer: certificate does not chain to the trust anchors/],
      [{ ...a, issuer: Buffer.from("x") }, /issuer: not an X\.509 certificate in DER/],
    ];
    for (const [material, pattern] of cases) {
      const result = Authority.of(material, NOW_MS);
      assert.ok(!result.ok);
      assert.match(result.problem, pattern);
    }
    const expired = Authority.of(a, NOW_MS + 2 * AUTHORITY_LIFETIME_MS);
    assert.ok(!expired.ok);
    assert.match(expired.problem, /issuer: certificate expired at/);
  });
});
