/** Holds `conformance.md` to the tree: a test that is renamed or removed takes its rows with it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";

const DOCUMENT = join(import.meta.dirname, "conformance.md");
const TESTS = dirname(import.meta.dirname);
const CHECKS = 22;

interface Row {
  readonly number: string;
  readonly evidence: string;
}

/** The rows of all tables: `| number | what | evidence |`. */
function rowsOf(document: string): readonly Row[] {
  return document
    .split("\n")
    .map((line) => /^\| (\d\S*) +\|.*\| (.*?) +\|$/.exec(line))
    .filter((found) => found !== null)
    .map(([, number = "", evidence = ""]) => ({ number, evidence }));
}

/** The names of the tests and groups of a source, as it has them, and its other literals. */
function wordsOf(source: string): ReadonlySet<string> {
  const literals = source.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g);
  return new Set([...literals].map(([, plain, template]) => plain ?? template ?? ""));
}
const NAME = /(?<![\w$])(?:test|it|describe)\(\s*(?:"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;
const namesOf = (source: string): ReadonlySet<string> =>
  new Set([...source.matchAll(NAME)].map(([, plain, template]) => plain ?? template ?? ""));

/** What is wrong with a row, empty if nothing is. */
function problemsOf({ number, evidence }: Row, read: (file: string) => string | undefined): string[] {
  if (/^None: ./.test(evidence)) return [];
  const problems: string[] = [];
  const files = [...evidence.matchAll(/`([^`]+\.test\.ts)`((?: "[^"]+")+)/g)];
  if (files.length === 0) problems.push(`${number}: names neither a test nor a reason`);
  for (const [, file = "", quoted = ""] of files) {
    const source = read(file);
    if (source === undefined) {
      problems.push(`${number}: there is no ${file}`);
      continue;
    }
    const [names, words] = [namesOf(source), wordsOf(source)];
    for (const [, name = ""] of quoted.matchAll(/"([^"]+)"/g)) {
      // Long names are those of tests; the words of a case are short, and stand in its table.
      if (!names.has(name) && !(name.length <= CASE_MAX && words.has(name))) {
        problems.push(`${number}: ${file} has no test "${name}"`);
      }
    }
  }
  return problems;
}
const CASE_MAX = 70;

function readTest(file: string): string | undefined {
  const path = join(TESTS, file);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

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
    const numbers = rows.map(({ number }) => number);
    assert.deepEqual(
      numbers.filter((number, i) => numbers.indexOf(number) !== i),
      [],
    );
    const checks = Array.from({ length: CHECKS }, (_, i) => `16.${i + 1}`);
    assert.deepEqual(
      checks.filter((check) => !numbers.includes(check)),
      [],
    );
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
