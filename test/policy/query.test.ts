import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { queryPairs } from "../../src/policy/query.ts";

const cases: readonly (readonly [target: string, pairs: readonly (readonly [string, string])[]])[] = [
  ["/", []],
  ["/?", []],
  ["/?a", [["a", ""]]],
  ["/?a=", [["a", ""]]],
  ["/?=b", [["", "b"]]],
  [
    "/?a=1&b=2&a=3",
    [
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
    ],
  ],
  ["/?&&a=1&", [["a", "1"]]],
  ["/?a=b=c", [["a", "b=c"]]],
  ["/?a+b=c%20d", [["a b", "c d"]]],
  ["/?a=%2B%26%3d", [["a", "+&="]]],
  ["/?a=%zz%4", [["a", "%zz%4"]]],
  ["/?a=%C3%A9", [["a", "é"]]],
  ["/?a=%ff", [["a", "\ufffd"]]],
  ["/?a=\u00c3\u00a9", [["a", "é"]]],
  ["/??a=1", [["?a", "1"]]],
  [
    "/?__proto__=1&constructor=2",
    [
      ["__proto__", "1"],
      ["constructor", "2"],
    ],
  ],
];
for (const [target, pairs] of cases) {
  test(`reads ${JSON.stringify(target)}`, () => assert.deepEqual(queryPairs(target), pairs));
}

test("decodes whatever a form encoder writes", () => {
  const pair = fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(fc.array(pair), (written) => {
      const params = new URLSearchParams(written.map(([name, value]): [string, string] => [name, value]));
      // Lone surrogates cannot be encoded; the encoder replaces them, and so its own list is what was written.
      assert.deepEqual(queryPairs(`/p?${params.toString()}`), [...params]);
    }),
  );
});
