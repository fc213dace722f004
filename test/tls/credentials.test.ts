import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { OID_CLIENT_AUTH } from "../../src/identity/oids.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";
import { certifiedStore, DB, newStore, WEB } from "./mesh-peer.ts";

const HOUR_MS = 3_600_000;

interface Offer {
  readonly leafDer: Buffer;
  readonly intermediatesDer: readonly Buffer[];
  readonly key: TestLeaf["key"];
  readonly notAfterMs: number;
}

const unusable: readonly [string, (ca: TestCa) => Offer, RegExp][] = [
  ["of another authority", () => TestCa.create().issue({ id: DB }), /does not chain to the trust anchors/],
  ["of another identity", (ca) => ca.issue({ id: WEB }), /does not name this proxy: expected db\./],
  ["for another key", (ca) => ({ ...ca.issue({ id: DB }), key: ca.issue().key }), /belongs to another key/],
  [
    "that expired",
    (ca) => ({ ...ca.issue({ id: DB, notAfterMs: Date.now() - 1000 }), notAfterMs: Date.now() + 1000 }),
    /certificate expired at/,
  ],
  [
    "whose stated expiry has passed",
    (ca) => ({ ...ca.issue({ id: DB }), notAfterMs: Date.now() - 1 }),
    /certificate expired at/,
  ],
  [
    "that is not yet valid",
    (ca) => ca.issue({ id: DB, notBeforeMs: Date.now() + HOUR_MS, notAfterMs: Date.now() + 2 * HOUR_MS }),
    /not valid before/,
  ],
  ["of an authority", (ca) => ca.issue({ id: DB, authority: true }), /belongs to an authority/],
  [
    "for clients only",
    (ca) => ca.issue({ id: DB, extKeyUsage: [OID_CLIENT_AUTH] }),
    /not meant for a TLS server/,
  ],
  [
    "whose intermediate is missing",
    (ca) => ({ ...ca.intermediate().issue({ id: DB }), intermediatesDer: [] }),
    /does not chain/,
  ],
  [
    "whose intermediate expired",
    (ca) => ca.intermediate({ notAfterMs: Date.now() - 1000 }).issue({ id: DB }),
    /an issuer's certificate expired at/,
  ],
  [
    "below an authority that allows no further one",
    (ca) => ca.intermediate({ maxIssuersBelow: 0 }).intermediate().issue({ id: DB }),
    /an issuer has more issuers below it than its certificate allows/,
  ],
  ["that a leaf signed", (ca) => leafSigned(ca), /does not chain/],
  [
    "with 500 intermediates",
    (ca) => ({ ...ca.issue({ id: DB }), intermediatesDer: Array.from({ length: 500 }, () => ca.certDer) }),
    /500 intermediate certificates, expected at most 12/,
  ],
  [
    "that is garbage",
    (ca) => ({ ...ca.issue({ id: DB }), leafDer: Buffer.from("garbage") }),
    /leaf certificate: not an X\.509 certificate in DER/,
  ],
  ["that is PEM", (ca) => pemInsteadOfDer(ca), /leaf certificate: not an X\.509 certificate in DER/],
  ["with bytes after it", (ca) => trailingBytes(ca), /leaf certificate: not an X\.509 certificate in DER/],
  [
    "with a garbled intermediate",
    (ca) => ({ ...ca.issue({ id: DB }), intermediatesDer: [Buffer.of(0x30, 0)] }),
    /intermediate certificate 1: not/,
  ],
];

function leafSigned(ca: TestCa): Offer {
  const fake = ca.issue({ id: "fake-issuer.example", commonName: "identity.linkerd.cluster.local" });
  const issuer = TestCa.create({ name: "identity.linkerd.cluster.local" });
  return { ...issuer.issue({ id: DB }), intermediatesDer: [fake.leafDer] };
}

function pemInsteadOfDer(ca: TestCa): Offer {
  const leaf = ca.issue({ id: DB });
  return { ...leaf, leafDer: Buffer.from(leaf.leafPem) };
}

function trailingBytes(ca: TestCa): Offer {
  const leaf = ca.issue({ id: DB });
  return { ...leaf, leafDer: Buffer.concat([leaf.leafDer, Buffer.of(0)]) };
}

describe("the credentials store", () => {
  it("starts without a certificate", () => {
    assert.equal(newStore(TestCa.create()).credentials.value.certified, undefined);
  });

  it("publishes a certificate that chains, names us and fits the key", () => {
    const ca = TestCa.create();
    const store = newStore(ca);
    const before = store.credentials.value;
    const seen: unknown[] = [];
    store.credentials.subscribe(new AbortController().signal, (value) => seen.push(value));
    const leaf = ca.intermediate().issue({ id: DB });
    const result = store.setCertificate(
      leaf.leafDer,
      leaf.intermediatesDer,
      leaf.key,
      leaf.notAfterMs,
      Date.now(),
    );
    assert.ok(result.ok);
    const after = store.credentials.value;
    assert.deepEqual(seen, [after]);
    assert.equal(after.certified, result.value);
    assert.equal(after.certified?.notAfterMs, leaf.notAfterMs);
    assert.notEqual(after.clientContext, before.clientContext);
    assert.equal(before.certified, undefined);
  });

  for (const [what, makeOffer, pattern] of unusable) {
    it(`keeps what it has when offered a certificate ${what}`, () => {
      const ca = TestCa.create();
      const store = certifiedStore(ca);
      const before = store.credentials.value;
      const offer = makeOffer(ca);
      const result = store.setCertificate(
        offer.leafDer,
        offer.intermediatesDer,
        offer.key,
        offer.notAfterMs,
        Date.now(),
      );
      assert.ok(!result.ok);
      assert.match(result.problem, pattern);
      assert.equal(store.credentials.value, before);
    });
  }

  it("shows the key to nobody who prints it", () => {
    const ca = TestCa.create();
    const store = newStore(ca);
    const leaf = ca.issue({ id: DB });
    assert.ok(store.setCertificate(leaf.leafDer, [], leaf.key, leaf.notAfterMs, Date.now()).ok);
    const printed =
      inspect(store, { depth: 12, showHidden: true, getters: true }) +
      inspect(store.credentials, { depth: 12 }) +
      JSON.stringify(store.credentials.value);
    const { d } = leaf.key.export({ format: "jwk" });
    const secret = Buffer.from(d ?? "", "base64url");
    assert.equal(secret.length, 32);
    for (const form of ["base64", "base64url", "hex", "latin1"] as const) {
      assert.ok(!printed.includes(secret.toString(form)), form);
    }
    assert.doesNotMatch(printed, /PRIVATE KEY|0x?[0-9a-f]{64}/);
  });
});
