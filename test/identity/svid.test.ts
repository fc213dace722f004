import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseId, type Id } from "../../src/identity/id.ts";
import { chooseSvid, readSvid, type OfferedSvid } from "../../src/identity/svid.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";

const ROOT = TestCa.create();
const ISSUER = ROOT.intermediate();
const OURS = "spiffe://root.linkerd.cluster.local/web";
const THEIRS = "spiffe://root.linkerd.cluster.local/db";
const OURS_LEAF = ISSUER.issue({ id: OURS });
const THEIRS_LEAF = ISSUER.issue({ id: THEIRS });

function idOf(text: string): Id {
  const id = parseId(text);
  assert.ok(id.ok);
  return id.value;
}
const US = idOf(OURS);

function offer(leaf: TestLeaf, spiffeId: string, changes: Partial<OfferedSvid> = {}): OfferedSvid {
  const chainDer = Buffer.concat([leaf.leafDer, ...leaf.intermediatesDer]);
  return { spiffeId, chainDer, keyDer: leaf.keyDer, ...changes };
}

const ours = (changes: Partial<OfferedSvid> = {}): OfferedSvid => offer(OURS_LEAF, OURS, changes);
const theirs = (changes: Partial<OfferedSvid> = {}): OfferedSvid => offer(THEIRS_LEAF, THEIRS, changes);
const EMPTY = Buffer.alloc(0);

describe("choosing an SVID", () => {
  it("takes the one with our id, wherever it stands", () => {
    for (const offered of [[ours()], [ours(), theirs()], [theirs(), ours()]]) {
      const { svid, dropped } = chooseSvid(offered, US);
      assert.ok(svid.ok);
      assert.deepEqual(svid.value.leafDer, OURS_LEAF.leafDer);
      assert.deepEqual(svid.value.intermediatesDer, OURS_LEAF.intermediatesDer);
      assert.ok(svid.value.key.equals(OURS_LEAF.key));
      assert.equal(svid.value.notAfterMs, Math.floor(OURS_LEAF.notAfterMs / 1000) * 1000);
      assert.deepEqual(dropped, []);
    }
  });

  it("compares ids as URLs do: the case of the scheme and dot segments do not count, everything else does", () => {
    const isOurs = (text: string): boolean => chooseSvid([ours({ spiffeId: text })], US).svid.ok;
    assert.ok(isOurs("SPIFFE://root.linkerd.cluster.local/x/../web"));
    for (const other of [
      `${OURS}/`,
      `${OURS}?a`,
      OURS.replace("root", "Root"),
      OURS.replace("spiffe", "http"),
    ]) {
      assert.equal(isOurs(other), false, other);
    }
  });

  it("names what it was offered when nothing is ours, without repeating a long list", () => {
    const none = chooseSvid([], US).svid;
    assert.deepEqual(none, {
      ok: false,
      problem: `no matching SVID: expected ${OURS}, the agent offers none`,
    });
    const many = Array.from({ length: 1000 }, (_, i) => theirs({ spiffeId: `${THEIRS}${i}` }));
    const { svid } = chooseSvid(many, US);
    assert.ok(!svid.ok);
    assert.match(svid.problem, /offers "spiffe:.*\/db0", .* and 992 more$/);
  });

  const unusable: readonly (readonly [string, Partial<OfferedSvid>, RegExp])[] = [
    ["without a key", { keyDer: EMPTY }, /it has no key/],
    ["without certificates", { chainDer: EMPTY }, /it has no certificate/],
    ["whose id is no URI", { spiffeId: "web.example" }, /"web.example": the id is not a URI/],
    ["whose id has a line break", { spiffeId: "a\nERROR" }, /"a\\nERROR": the id is not a URI/],
    ["whose chain is cut short", { chainDer: OURS_LEAF.leafDer.subarray(0, -1) }, /not a sequence of DER/],
    ["whose leaf is not a certificate", { chainDer: Buffer.of(0x30, 0) }, /leaf certificate: not an X.509/],
    ["whose key is garbage", { keyDer: Buffer.from("key") }, /not an unencrypted private key/],
    [
      "whose key is RSA",
      { keyDer: ROOT.issue({ keyType: "rsa" }).keyDer },
      /of kind rsa, expected ECDSA P-256/,
    ],
    ["whose key is P-384", { keyDer: ROOT.issue({ keyType: "P-384" }).keyDer }, /of kind secp384r1/],
  ];
  for (const [what, changes, problem] of unusable) {
    it(`drops one ${what} and takes the next that is ours`, () => {
      const first = chooseSvid([ours(changes)], US);
      assert.equal(first.svid.ok, false);
      assert.equal(first.dropped.length, 1);
      assert.match(first.dropped[0] ?? "", problem);
      assert.ok(chooseSvid([ours(changes), ours()], US).svid.ok);
    });
  }

  it("says a bounded number of words about any number of bad entries", () => {
    const { dropped } = chooseSvid(
      Array.from({ length: 1000 }, () => ours({ spiffeId: "x".repeat(100_000) })),
      US,
    );
    assert.equal(dropped.length, 8);
    assert.ok(dropped.join("").length < 2000);
  });

  it("never shows any part of a key in a problem", () => {
    const { d } = OURS_LEAF.key.export({ format: "jwk" });
    const secret = Buffer.from(d ?? "", "base64url");
    const broken = Buffer.concat([OURS_LEAF.keyDer, Buffer.of(0)]).subarray(1);
    const { dropped } = chooseSvid([ours({ keyDer: broken })], US);
    for (const form of ["hex", "base64", "latin1"] as const) {
      assert.ok(!dropped.join("").includes(secret.subarray(0, 6).toString(form)), form);
    }
  });
});

describe("reading an SVID", () => {
  const certificates = [OURS_LEAF.leafDer, ISSUER.certDer, ROOT.certDer, THEIRS_LEAF.leafDer];

  it("splits any chain where its certificates end", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...certificates), { maxLength: 20 }), (rest) => {
        const svid = readSvid(ours({ chainDer: Buffer.concat([OURS_LEAF.leafDer, ...rest]) }));
        assert.ok(svid.ok);
        assert.deepEqual([svid.value.leafDer, ...svid.value.intermediatesDer], [OURS_LEAF.leafDer, ...rest]);
      }),
      { numRuns: 50 },
    );
  });

  it("refuses every chain that is cut anywhere but between certificates", () => {
    const whole = Buffer.concat(certificates);
    const ends = new Set(certificates.map((_, i) => Buffer.concat(certificates.slice(0, i + 1)).length));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length }), (at) => {
        assert.equal(readSvid(ours({ chainDer: whole.subarray(0, at) })).ok, ends.has(at));
      }),
      { numRuns: 200 },
    );
  });

  it("gives a value or a problem for any bytes whatsoever", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(
          fc.nat(),
          fc.integer({ min: 0, max: 255 }),
          fc.constantFrom(OURS_LEAF.leafDer, OURS_LEAF.keyDer),
        )
        .map(([at, byte, from]) => Buffer.from(from).fill(byte, at % from.length, (at % from.length) + 1)),
    );
    fc.assert(
      fc.property(fc.string(), bytes, bytes, (spiffeId, chain, key) => {
        const offered = { spiffeId, chainDer: Buffer.from(chain), keyDer: Buffer.from(key) };
        chooseSvid([offered, { ...offered, spiffeId: OURS }], US);
      }),
      { numRuns: 200 },
    );
  });
});
