/** Holds tables of conformance to the tree: a test that is renamed or removed takes its rows with it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const TESTS = dirname(import.meta.dirname);

/** A statement of a specification, and what shows that it holds. */
export interface Row {
  readonly number: string;
  readonly evidence: string;
}

/** The rows of all tables: `| number | what | evidence |`. */
export function rowsOf(document: string): readonly Row[] {
  return document
    .split("\n")
    .map((line) => /^\| ([A-Z]?\d\S*) +\|.*\| (.*?) +\|$/.exec(line))
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
export function problemsOf({ number, evidence }: Row, read: (file: string) => string | undefined): string[] {
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

/** The source of a test, by its path below `test/`. */
export function readTest(file: string): string | undefined {
  const path = join(TESTS, file);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** Numbers that occur more than once. */
export function repeated(rows: readonly Row[]): string[] {
  const numbers = rows.map(({ number }) => number);
  return numbers.filter((number, i) => numbers.indexOf(number) !== i);
}

/** Those of `prefix1` to `prefixN` that have no row. */
export function absent(rows: readonly Row[], prefix: string, count: number): string[] {
  const numbers = new Set(rows.map(({ number }) => number));
  return Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`).filter((n) => !numbers.has(n));
}
