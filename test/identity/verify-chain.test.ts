import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCertChain, splitCertificates } from "../../src/identity/cert-chain.ts";
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

  it("may lead to an anchor that expired, but not through an issuer that did", () => {
    const past = Date.now() - 1000;
    const expiredRoot = TestCa.create({ notAfterMs: past });
    assert.equal(verify(expiredRoot.issue({ id: WEB }), rootsOf(expiredRoot)), "ok");
    const root = TestCa.create();
    assert.match(
      verify(root.intermediate({ notAfterMs: past }).issue({ id: WEB }), rootsOf(root)),
      /does not chain/,
    );
  });

  it("has at most six issuers below the anchor", () => {
    const root = TestCa.create();
    let issuer = root;
    for (let depth = 1; depth <= 7; depth++) {
      issuer = issuer.intermediate({ name: `issuer ${depth}` });
      const expected = depth <= 6 ? "ok" : "certificate does not chain to the trust anchors";
      assert.equal(verify(issuer.issue({ id: WEB }), rootsOf(root)), expected, `depth ${depth}`);
    }
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
