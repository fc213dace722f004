import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  contextConstructed,
  contextPrimitive,
  sequence,
  smallInteger,
} from "../../src/identity/der-writer.ts";
import { nameConstraintProblem, readNameConstraints } from "../../src/identity/name-constraints.ts";
import type { GeneralName } from "../../src/identity/subject-alt-name.ts";

const dns = (text: string): GeneralName => ({ kind: "dns", text });
const uri = (text: string): GeneralName => ({ kind: "uri", text });
const ip = (...bytes: number[]): GeneralName => ({ kind: "ip", bytes: Buffer.from(bytes) });
const other = (number: number): GeneralName => ({ kind: "other", number });

describe("name constraints", () => {
  const cases: readonly [string, GeneralName, GeneralName, "within" | "outside" | RegExp][] = [
    ["the base itself", dns("shop.example"), dns("shop.example"), "within"],
    ["what is below the base, in any case", dns("Web.SHOP.example"), dns("shop.Example"), "within"],
    ["a name that only ends alike", dns("workshop.example"), dns("shop.example"), "outside"],
    ["another name", dns("web.example"), dns("shop.example"), "outside"],
    ["the base behind a dot", dns("shop.example"), dns(".shop.example"), "outside"],
    ["what is below a base behind a dot", dns("web.shop.example"), dns(".shop.example"), "within"],
    ["anything under the empty base", dns("web.example"), dns(""), "within"],
    ["a wildcard below the base", dns("*.web.shop.example"), dns("shop.example"), "within"],
    ["a name with an empty label", dns("web..example"), dns("example"), /malformed DNS name/],
    ["a name with a blank", dns("web .example"), dns("example"), /malformed DNS name/],
    ["a base that ends in a dot", dns("web.example"), dns("example."), /malformed name constraint/],
    ["an address in the network", ip(192, 0, 2, 7), ip(192, 0, 2, 0, 255, 255, 255, 0), "within"],
    ["an address of another network", ip(192, 0, 3, 7), ip(192, 0, 2, 0, 255, 255, 255, 0), "outside"],
    ["an address of another family", ip(192, 0, 2, 7), ip(...Array<number>(32).fill(0)), "outside"],
    ["a network without mask", ip(192, 0, 2, 7), ip(192, 0, 2, 0), /malformed name constraint/],
    [
      "an address of five bytes",
      ip(192, 0, 2, 7, 1),
      ip(192, 0, 2, 0, 255, 255, 255, 0),
      /malformed address/,
    ],
  ];
  for (const [what, name, base, expected] of cases) {
    it(`compare ${what}`, () => {
      const permitted = nameConstraintProblem([name], { permitted: [base], excluded: [] });
      const excluded = nameConstraintProblem([name], { permitted: [], excluded: [base] });
      if (expected === "within") {
        assert.equal(permitted, undefined);
        assert.match(excluded ?? "", /is excluded from what its issuer may certify/);
      } else if (expected === "outside") {
        assert.match(permitted ?? "", /is outside of what its issuer may certify/);
        assert.equal(excluded, undefined);
      } else {
        assert.match(permitted ?? "", expected);
        assert.match(excluded ?? "", expected);
      }
    });
  }

  it("take a wildcard for every name that it may stand for", () => {
    const bases = { permitted: [], excluded: [dns("web.shop.example")] };
    assert.match(nameConstraintProblem([dns("*.shop.example")], bases) ?? "", /excluded/);
    assert.equal(nameConstraintProblem([dns("*.example")], bases), undefined);
    const permitted = { permitted: [dns("web.shop.example")], excluded: [] };
    assert.match(nameConstraintProblem([dns("*.shop.example")], permitted) ?? "", /outside/);
  });

  it("refuse what they cannot compare, whether they permit or exclude it", () => {
    const spiffe = uri("spiffe://root/web");
    for (const [name, base] of [
      [spiffe, uri("root")],
      [other(0), other(0)],
      [
        { kind: "email", text: "a@b.example" },
        { kind: "email", text: "b.example" },
      ],
    ] as const) {
      assert.notEqual(nameConstraintProblem([name], { permitted: [base], excluded: [] }), undefined);
      assert.notEqual(nameConstraintProblem([name], { permitted: [], excluded: [base] }), undefined);
    }
    // Every certificate has a subject, so one on directory names leaves nothing.
    const directory = { permitted: [other(4)], excluded: [] };
    assert.match(nameConstraintProblem([dns("web.example")], directory) ?? "", /the subject is outside/);
  });

  it("ask nothing of names of another kind", () => {
    const bases = { permitted: [dns("shop.example")], excluded: [ip(0, 0, 0, 0, 0, 0, 0, 0)] };
    assert.equal(nameConstraintProblem([uri("spiffe://root/web")], bases), undefined);
    assert.equal(nameConstraintProblem([], bases), undefined);
  });

  it("are read in both parts, and not at all if anything about them is odd", () => {
    const base = (text: string): Buffer => sequence(contextPrimitive(2, Buffer.from(text)));
    const permitted = contextConstructed(0, Buffer.concat([base("a.example"), base("b.example")]));
    const excluded = contextConstructed(1, base("c.example"));
    assert.deepEqual(readNameConstraints(sequence(permitted, excluded)), {
      permitted: [dns("a.example"), dns("b.example")],
      excluded: [dns("c.example")],
    });
    const bounded = contextConstructed(0, sequence(contextPrimitive(2, Buffer.from("a")), smallInteger(1)));
    for (const odd of [
      sequence(excluded, permitted),
      sequence(permitted, permitted),
      sequence(contextConstructed(2, Buffer.alloc(0))),
      sequence(bounded),
      sequence(contextConstructed(0, sequence())),
      Buffer.of(0x30, 1),
    ]) {
      assert.equal(readNameConstraints(odd), undefined, odd.toString("hex"));
    }
  });
});
