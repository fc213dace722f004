import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCertChain, splitCertificates } from "../../src/identity/cert-chain.ts";
import { contextConstructed, contextPrimitive, sequence } from "../../src/identity/der-writer.ts";
import { OID_NAME_CONSTRAINTS, OID_SERVER_AUTH } from "../../src/identity/oids.ts";
import { extension, extKeyUsage } from "../../src/control-plane/ca/extensions.ts";
import { parseTrustRoots, type TrustRoots } from "../../src/identity/trust-roots.ts";
import { verifyChain, type Purpose } from "../../src/identity/verify-chain.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";

function rootsOf(...authorities: TestCa[]): TrustRoots {
  const result = parseTrustRoots(authorities.map((ca) => ca.certPem).join(""));
  assert.ok(result.ok);
  return result.value.roots;
}

function verify(
  leaf: TestLeaf,
  roots: TrustRoots,
  purpose: Purpose = "server",
  intermediates = leaf.intermediatesDer,
): string {
  const chain = parseCertChain(leaf.leafDer, intermediates);
  assert.ok(chain.ok, chain.ok ? "" : chain.problem);
  const result = verifyChain(chain.value, roots, Date.now(), purpose);
  return result.ok ? "ok" : result.problem;
}

describe("a chain", () => {
  it("leads to a root directly, through issuers in any order, and to an issuer that is an anchor", () => {
    const root = TestCa.create();
    const upper = root.intermediate({ name: "upper" });
    const lower = upper.intermediate({ name: "lower" });
    const leaf = lower.issue({ id: WEB });
    assert.equal(verify(root.issue({ id: WEB }), rootsOf(root)), "ok");
    assert.equal(verify(leaf, rootsOf(root)), "ok");
    assert.equal(verify(leaf, rootsOf(root), "server", leaf.intermediatesDer.toReversed()), "ok");
    assert.equal(verify(leaf, rootsOf(lower), "client", []), "ok");
    assert.equal(verify(leaf, rootsOf(TestCa.create(), root)), "ok");
  });

  it("leads nowhere without its issuers or to a root that only has the right name", () => {
    const root = TestCa.create();
    const leaf = root.intermediate().issue({ id: WEB });
    const nowhere = "certificate does not chain to the trust anchors";
    assert.equal(verify(leaf, rootsOf(root), "server", []), nowhere);
    assert.equal(verify(leaf, rootsOf(TestCa.create())), nowhere);
  });

  it("inbound 2.4: may lead to an anchor that expired, but not through an issuer that did", () => {
    const past = Date.now() - 1000;
    const expiredRoot = TestCa.create({ notAfterMs: past });
    assert.equal(verify(expiredRoot.issue({ id: WEB }), rootsOf(expiredRoot)), "ok");
    const root = TestCa.create();
    assert.match(
      verify(root.intermediate({ notAfterMs: past }).issue({ id: WEB }), rootsOf(root)),
      /an issuer's certificate expired at/,
    );
  });

  it("inbound 2.4: has at most six issuers below the anchor", () => {
    const root = TestCa.create();
    let issuer = root;
    for (let depth = 1; depth <= 7; depth++) {
      issuer = issuer.intermediate({ name: `issuer ${depth}` });
      const expected = depth <= 6 ? "ok" : "certificate does not chain to the trust anchors";
      assert.equal(verify(issuer.issue({ id: WEB }), rootsOf(root)), expected, `depth ${depth}`);
    }
  });

  it("inbound 2.4: issuers may only certify names that their own constraints and those above them allow", () => {
    const limits = (base: string): Buffer => {
      const subtree = sequence(contextPrimitive(2, Buffer.from(base)));
      return extension(OID_NAME_CONSTRAINTS, true, sequence(contextConstructed(0, subtree)));
    };
    const root = TestCa.create();
    const shops = root.intermediate({
      name: "shops",
      extra: [limits("serviceaccount.identity.linkerd.cluster.local")],
    });
    assert.equal(verify(shops.issue({ id: WEB }), rootsOf(root)), "ok");
    assert.match(
      verify(shops.issue({ id: "web.elsewhere.example" }), rootsOf(root)),
      /outside of what its issuer/,
    );
    // An issuer below it is held to them as well, whatever it says of itself.
    const lower = shops.intermediate({ name: "lower", extra: [limits("elsewhere.example")] });
    assert.match(
      verify(lower.issue({ id: "web.elsewhere.example" }), rootsOf(root)),
      /outside of what its issuer/,
    );
    // Those of an anchor count, although nothing else of it does.
    assert.match(
      verify(shops.issue({ id: "web.elsewhere.example" }), rootsOf(shops)),
      /outside of what its issuer/,
    );
  });

  it("inbound 2.4: issuers are held to their purpose, every certificate to what it calls critical", () => {
    const root = TestCa.create();
    const forServers = root.intermediate({ extra: [extKeyUsage(OID_SERVER_AUTH)] });
    assert.equal(verify(forServers.issue({ id: WEB }), rootsOf(root), "server"), "ok");
    assert.match(
      verify(forServers.issue({ id: WEB }), rootsOf(root), "client"),
      /an issuer's certificate is not meant/,
    );
    const odd = extension("1.2.3.4", true, Buffer.alloc(0));
    const leaf = root.issue({ id: WEB, extraExtensions: [odd] });
    assert.match(verify(leaf, rootsOf(root)), /unknown critical extension 1\.2\.3\.4/);
    const harmless = root.issue({ id: WEB, extraExtensions: [extension("1.2.3.4", false, Buffer.alloc(0))] });
    assert.equal(verify(harmless, rootsOf(root)), "ok");
    const issuer = root.intermediate({ extra: [odd] });
    assert.match(
      verify(issuer.issue({ id: WEB }), rootsOf(root)),
      /an issuer's certificate with the unknown critical/,
    );
  });

  it("is given up after a bounded number of signature checks", () => {
    const looping = TestCa.create();
    // Twelve authorities that all seem to have signed one another: over half a million ways to go round.
    const lookalikes = Array.from({ length: 12 }, () => TestCa.create({ key: looping.key }).certDer);
    const startedMs = performance.now();
    assert.match(
      verify(looping.issue({ id: WEB }), rootsOf(TestCa.create()), "server", lookalikes),
      /does not chain/,
    );
    assert.ok(performance.now() - startedMs < 2000);
  });
});

describe("certificates in a row", () => {
  it("are split where one ends", () => {
    const leaf = TestCa.create().intermediate().issue({ id: WEB });
    const result = splitCertificates(Buffer.concat([leaf.leafDer, ...leaf.intermediatesDer]));
    assert.ok(result.ok);
    assert.deepEqual(result.value, [leaf.leafDer, ...leaf.intermediatesDer]);
  });

  it("are refused if there is none or one is cut short", () => {
    const { leafDer } = TestCa.create().issue({ id: WEB });
    assert.equal(splitCertificates(Buffer.alloc(0)).ok, false);
    assert.equal(splitCertificates(leafDer.subarray(0, -1)).ok, false);
    assert.equal(splitCertificates(Buffer.concat([leafDer, Buffer.of(0)])).ok, false);
  });
});
