import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { parseEnvFile } from "../../src/config/env-file.ts";

function valuesOf(text: string): Record<string, string> {
  const file = parseEnvFile(text);
  assert.ok(file.ok, file.ok ? "" : file.problems.join("\n"));
  return Object.fromEntries(file.values);
}

describe("reading an env file", () => {
  const cases: readonly (readonly [string, string, Record<string, string>])[] = [
    ["plain lines", "A=1\nB = two words \r\n", { A: "1", B: "two words" }],
    ["comments and blank lines", "# top\n\n  # indented\nA=1 # why\nB=a#b\n", { A: "1", B: "a#b" }],
    ["an empty value", "A=\nB= # nothing\n", { A: "", B: "" }],
    ["an equals sign in a value", "A=127.0.0.1:1=db:2\n", { A: "127.0.0.1:1=db:2" }],
    ["single quotes as they are", "A='a \\n # \"b\" '\n", { A: 'a \\n # "b" ' }],
    ["escapes in double quotes", 'A="a\\n\\"b\\" \\\\ \\x" # c\n', { A: 'a\n"b" \\ \\x' }],
    [
      "a value over several lines",
      'A="-----BEGIN\nabc\n-----END"\nB=2',
      { A: "-----BEGIN\nabc\n-----END", B: "2" },
    ],
  ];
  for (const [what, text, expected] of cases)
    it(`takes ${what}`, () => assert.deepEqual(valuesOf(text), expected));

  it("reports every bad line with its number", () => {
    const file = parseEnvFile('A=1\nnonsense\n1B=2\nA=3\nC="open\n');
    assert.ok(!file.ok);
    assert.deepEqual(
      file.problems.map((p) => p.slice(0, 7)),
      ["line 2:", "line 3:", "line 4:", "line 5:"],
    );
    assert.match(file.problems[2] ?? "", /A is set twice, first on line 1/);
  });

  it("does not take text behind a closing quote for a value", () => {
    assert.equal(parseEnvFile("A='b' c\n").ok, false);
  });

  it("gives back any value that was written in double quotes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        fc.pre(!value.includes("\r"));
        const quoted = value.replace(/["\\]/g, (c) => `\\${c}`);
        const file = parseEnvFile(`A="${quoted}"\n`);
        return file.ok && file.values.get("A") === value;
      }),
    );
  });
});
