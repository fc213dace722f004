import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseMilliQuantity } from "../../src/control-plane/resources/quantity.ts";

function milli(text: string): number | undefined {
  const quantity = parseMilliQuantity(text);
  return quantity.ok ? quantity.value : undefined;
}

const TABLE: readonly (readonly [text: string, milli: number | undefined])[] = [
  ["1", 1000],
  ["0", 0],
  ["500m", 500],
  ["0.5", 500],
  [".5", 500],
  ["5.", 5000],
  ["1.1", 1100],
  ["+2", 2000],
  ["2e3", 2_000_000],
  ["2E-1", 200],
  ["1k", 1_000_000],
  ["1Ki", 1_024_000],
  ["1u", 1],
  ["0.0001", 1],
  ["1n", 1],
  ["", undefined],
  [".", undefined],
  ["-1", undefined],
  ["1 ", undefined],
  ["1kk", undefined],
  ["9E", undefined],
  ["1e99", undefined],
];

for (const [text, expected] of TABLE) {
  test(`reads the quantity "${text}" as ${expected} thousandths`, () => assert.equal(milli(text), expected));
}

test("whole numbers of thousandths are read exactly, however they are written", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (n) => {
      const text = `${Math.floor(n / 1000)}.${String(n % 1000).padStart(3, "0")}`;
      return milli(text) === n && milli(`${n}m`) === n;
    }),
  );
});
