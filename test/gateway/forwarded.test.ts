import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as check, constantFrom, property, string } from "fast-check";
import { formatForwarded, isForwardedBy } from "../../src/gateway/forwarded.ts";

const US = "gateway.shop.serviceaccount.identity.linkerd.cluster.local";
const THEM = "web.shop.serviceaccount.identity.linkerd.cluster.local";

test("inbound 4.5: forwarded is written as the mesh's gateways write it, without quotes", () => {
  assert.equal(
    formatForwarded({ by: US, for: THEM, host: "web.shop.svc.cluster.local:8080" }),
    `by=${US};for=${THEM};host=web.shop.svc.cluster.local:8080;proto=https`,
  );
  assert.equal(
    formatForwarded({ by: US, for: "spiffe://example.org/web", host: "web" }),
    `by=${US};for=spiffe://example.org/web;host=web;proto=https`,
  );
});

test("an identity cannot pretend to be more than one value, nor break the line", () => {
  const forged = formatForwarded({ by: US, for: 'spiffe://example.org/a;by=b,"\\', host: "web" });
  assert.equal(forged, `by=${US};for="spiffe://example.org/a;by=b,\\"\\\\";host=web;proto=https`);
  assert.equal(isForwardedBy(forged, US), true);
  for (const id of ["a\r\nx: y", "a\0", "ü", ""]) {
    assert.equal(
      formatForwarded({ by: US, for: id, host: "web" }),
      `by=${US};for=unknown;host=web;proto=https`,
    );
  }
});

const SEEN: readonly (readonly [value: string, seen: boolean])[] = [
  [`by=${US}`, true],
  [`by=${US};for=${THEM};host=web;proto=https`, true],
  [`for=${THEM};by=${US}`, true],
  [`for=${THEM} ; By = ${US} `, true],
  [`BY="${US}"`, true],
  [`by="gateway\\.shop.serviceaccount.identity.linkerd.cluster.local"`, true],
  // Fields that somebody joined.
  [`by=${THEM};for=a, by=${US};for=b`, true],
  [`for="a;b,c", by=${US}`, true],
  // Quotes hide nothing, whoever closes them.
  [`for="x;by=${US};y"`, true],
  [`x=", by=${US};for=a, by=${THEM};for="b"`, true],
  [`for="a, by=${US}`, true],
  [`for="a\\", by=${US}`, true],
  [`by=${THEM}`, false],
  [`for=${US};host=${US}`, false],
  [`for="by=${US}"`, false],
  [`xby=${US}`, false],
  [`by=${US}.`, false],
  [`by=x${US}`, false],
  [`by`, false],
  [`by=`, false],
  [``, false],
  [`;;,,=`, false],
];

for (const [value, seen] of SEEN) {
  test(`a request ${seen ? "has" : "has not"} been here: forwarded: ${value.replaceAll(US, "US").replaceAll(THEM, "THEM")}`, () => {
    assert.equal(isForwardedBy(value, US), seen);
  });
}

test("whatever is written is read again, alone or among others", () => {
  const id = string({ unit: constantFrom(...'abc.:/;,"\\ ='.split("")), minLength: 1 });
  check(
    property(id, id, (by, other) => {
      const written = formatForwarded({ by, for: other, host: "web" });
      assert.ok(isForwardedBy(written, by));
      assert.ok(isForwardedBy(`${formatForwarded({ by: "x", for: other, host: "web" })}, ${written}`, by));
    }),
  );
});

test("reading never throws, and takes time by the length alone", () => {
  check(property(string(), (value) => typeof isForwardedBy(value, US) === "boolean"));
  for (const piece of ['"', '="', ";", ",", '\\"', "by=", `by="`]) {
    const long = piece.repeat(Math.ceil(65_536 / piece.length));
    const startedAtMs = performance.now();
    isForwardedBy(long, US);
    assert.ok(performance.now() - startedAtMs < 50, piece);
  }
});
