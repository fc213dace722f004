import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseCidr } from "../../src/addr/cidr.ts";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import type { Parsed } from "../../src/parsed.ts";
import { tapMatches, type TapMatch, type TapSubject } from "../../src/tap/match.ts";

function must<T>(value: Parsed<T>): T {
  assert.ok(value.ok);
  return value.value;
}
const addr = (text: string): SocketAddr => must(parseSocketAddr(text));
const network = (text: string): TapMatch => ({
  kind: "source",
  addr: { kind: "network", network: must(parseCidr(text)) },
});
const ports = (kind: "source" | "destination", low: number, high: number): TapMatch => ({
  kind,
  addr: { kind: "ports", low, high },
});
const text = (kind: "authority" | "path", how: "exact" | "prefix", value: string): TapMatch => ({
  kind,
  text: { kind: how, text: value },
});

const SUBJECT: TapSubject = {
  source: addr("192.0.2.7:40000"),
  destination: addr("[2001:db8::1]:8080"),
  destinationLabels: [
    ["service", "web"],
    ["namespace", "shop"],
  ],
  routeLabels: [["route", "GET /books"]],
  method: "GET",
  scheme: undefined,
  authority: "web.shop:8080",
  path: "/books/1",
};

const TRUE: TapMatch = { kind: "all", of: [] };
const FALSE: TapMatch = { kind: "any", of: [] };

describe("inbound 9.1: a tap's match", () => {
  const cases: readonly (readonly [string, TapMatch, boolean, Partial<TapSubject>?])[] = [
    ["all of nothing", TRUE, true],
    ["any of nothing", FALSE, false],
    ["all of true and false", { kind: "all", of: [TRUE, FALSE] }, false],
    ["any of false and true", { kind: "any", of: [FALSE, TRUE] }, true],
    ["not", { kind: "not", of: FALSE }, true],
    ["the first port of a range", ports("source", 40_000, 40_001), true],
    ["the last port of a range", ports("source", 39_999, 40_000), true],
    ["a port beside a range", ports("source", 40_001, 50_000), false],
    ["the port of the destination", ports("destination", 8080, 8080), true],
    ["not the source's port for the destination", ports("destination", 40_000, 40_000), false],
    ["a source in the network", network("192.0.2.0/29"), true],
    ["a source beside the network", network("192.0.2.8/29"), false],
    ["a network of the other version", network("::/1"), false],
    ["an unknown source", network("0.0.0.0/1"), false, { source: undefined }],
    ["a destination label", { kind: "destination_label", name: "service", value: "web" }, true],
    ["another value of the label", { kind: "destination_label", name: "service", value: "we" }, false],
    [
      "a label of the destination as one of the route",
      { kind: "route_label", name: "service", value: "web" },
      false,
    ],
    ["a route label", { kind: "route_label", name: "route", value: "GET /books" }, true],
    [
      "no route",
      { kind: "route_label", name: "route", value: "GET /books" },
      false,
      { routeLabels: undefined },
    ],
    ["no scheme is http", { kind: "scheme", scheme: "http" }, true],
    ["no scheme is not https", { kind: "scheme", scheme: "https" }, false],
    ["a scheme in any case", { kind: "scheme", scheme: "https" }, true, { scheme: "HTTPS" }],
    ["the method", { kind: "method", method: "GET" }, true],
    ["a method in another case", { kind: "method", method: "get" }, false],
    ["the whole authority", text("authority", "exact", "web.shop:8080"), true],
    ["a part of the authority as the whole", text("authority", "exact", "web.shop"), false],
    ["the beginning of the authority", text("authority", "prefix", "web."), true],
    ["no authority", text("authority", "prefix", ""), false, { authority: undefined }],
    ["the whole path", text("path", "exact", "/books/1"), true],
    ["the beginning of the path", text("path", "prefix", "/bo"), true],
    ["the end of the path", text("path", "prefix", "/1"), false],
  ];
  for (const [what, match, expected, changes] of cases) {
    it(`${expected ? "takes" : "leaves"} ${what}`, () => {
      assert.equal(tapMatches(match, { ...SUBJECT, ...changes }), expected);
    });
  }

  const leaf = fc.constantFrom<TapMatch>(
    TRUE,
    FALSE,
    network("192.0.2.0/24"),
    { kind: "method", method: "POST" },
    text("path", "prefix", "/"),
  );
  const { tree } = fc.letrec<{ tree: TapMatch }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.record({ kind: fc.constantFrom("all", "any"), of: fc.array(tie("tree"), { maxLength: 3 }) }),
      fc.record({ kind: fc.constant("not" as const), of: tie("tree") }),
    ),
  }));

  it("keeps the laws of logic", () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 4 }), tree, (of, one) => {
        const not = (inner: TapMatch): TapMatch => ({ kind: "not", of: inner });
        const takes = (match: TapMatch): boolean => tapMatches(match, SUBJECT);
        assert.equal(takes(not(not(one))), takes(one));
        assert.equal(takes(not({ kind: "all", of })), takes({ kind: "any", of: of.map(not) }));
        assert.equal(takes({ kind: "all", of: [one, ...of] }), takes(one) && takes({ kind: "all", of }));
      }),
      { numRuns: 200 },
    );
  });
});
