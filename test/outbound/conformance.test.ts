import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { absent, problemsOf, readTest, repeated, rowsOf } from "../support/conformance.ts";

const DOCUMENT = join(import.meta.dirname, "conformance.md");
const CHECKS = 22;

describe("conformance.md", () => {
  const rows = rowsOf(readFileSync(DOCUMENT, "utf8"));

  test("names tests that exist", () => {
    assert.ok(rows.length > 400, `${rows.length} rows`);
    assert.deepEqual(
      rows.flatMap((row) => problemsOf(row, readTest)),
      [],
    );
  });

  test("has each number once, and every conformance check", () => {
    assert.deepEqual(repeated(rows), []);
    assert.deepEqual(absent(rows, "16.", CHECKS), []);
  });

  test("would be found wrong", () => {
    const source = 'test("a bird flies", () => {});\nconst CASES = ["a duck"];';
    const read = (file: string): string | undefined => (file === "bird.test.ts" ? source : undefined);
    const wrong = (evidence: string): string[] => problemsOf({ number: "1-1", evidence }, read);
    assert.deepEqual(wrong('`bird.test.ts` "a bird flies" "a duck". With a remark.'), []);
    assert.deepEqual(wrong("None: birds are not built."), []);
    assert.deepEqual(wrong('`bird.test.ts` "a bird swims"'), [
      '1-1: bird.test.ts has no test "a bird swims"',
    ]);
    assert.deepEqual(wrong('`fish.test.ts` "a fish swims"'), ["1-1: there is no fish.test.ts"]);
    assert.deepEqual(wrong("some day"), ["1-1: names neither a test nor a reason"]);
  });
});
