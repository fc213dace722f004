import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseDnsName } from "../../../src/addr/dns-name.ts";
import { findTlsRoute, sniMatchers } from "../../../src/outbound/tls/find-tls-route.ts";
import type { SniMatch } from "../../../src/policy/client-policy.ts";
import { must } from "../scripted.ts";

/** `*.example.com` is a suffix, anything else exact. */
function sni(text: string): SniMatch {
  if (!text.startsWith("*.")) return { kind: "exact", name: text };
  return { kind: "suffix", reverseLabels: text.slice(2).split(".").reverse() };
}

const find = (routes: readonly (readonly string[])[], name: string): number | undefined =>
  findTlsRoute(
    routes.map((snis, item) => ({ snis: sniMatchers(snis.map(sni)), item })),
    must(parseDnsName(name)),
  );

const CASES: readonly (readonly [string, readonly (readonly string[])[], string, number | undefined])[] = [
  ["exact beats suffix", [["*.example.com"], ["a.example.com"]], "a.example.com", 1],
  ["the longer suffix beats the shorter", [["*.com"], ["*.example.com"]], "a.example.com", 1],
  ["any suffix beats a route without names", [[], ["*.com"]], "a.example.com", 1],
  ["a route without names takes what is left", [["*.org"], []], "a.example.com", 1],
  ["the first wins among equals", [["a.example.com"], ["a.example.com"]], "a.example.com", 0],
  ["the best of a route's names counts", [["*.example.com"], ["x.org", "a.example.com"]], "a.example.com", 1],
  ["names are compared in lower case", [["A.Example.com"]], "a.EXAMPLE.com", 0],
  ["a trailing dot is tolerated", [["a.example.com"]], "a.example.com.", 0],
  ["unless the route has one: then it must be there", [["a.example.com."]], "a.example.com", undefined],
  ["a suffix is not a name of its own", [["*.example.com"]], "example.com", undefined],
  ["a suffix ends at a label", [["*.example.com"]], "badexample.com", undefined],
  ["a suffix covers several labels", [["*.example.com"]], "a.b.example.com", 0],
  ["nothing matches", [["a.example.com"]], "b.example.com", undefined],
  ["no routes", [], "a.example.com", undefined],
];

for (const [what, routes, name, expected] of CASES) {
  test(`outbound 2.3: ${what}`, () => assert.equal(find(routes, name), expected));
}

test("outbound 2.3: the choice depends on the order of the routes among equals alone", () => {
  const names = fc.constantFrom("a.example.com", "b.example.com", "*.example.com", "*.com", "c.org");
  fc.assert(
    fc.property(
      fc.uniqueArray(names),
      fc.constantFrom("a.example.com", "x.example.com", "c.org"),
      (snis, name) => {
        const chosen = (order: readonly string[]): string | undefined =>
          order[
            find(
              order.map((s) => [s]),
              name,
            ) ?? -1
          ];
        assert.equal(chosen(snis), chosen(snis.toReversed()));
      },
    ),
  );
});
