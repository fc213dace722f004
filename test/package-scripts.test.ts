import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

// Ours, beside this folder.
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

const PARTS = ["test:together", "test:product", "test:bench"];

test("npm test runs every test file, and runs none twice", () => {
  const run = PARTS.flatMap((script) => globSync(patternsOf(script), { cwd: ROOT }));
  assert.deepEqual(run.sort(), globSync("test/**/*.test.ts", { cwd: ROOT }).sort());
});

test("npm test runs all of its parts", () => {
  for (const part of [...PARTS, "check:types", "check:lint", "check:format"]) {
    assert.match(`${scripts["test"]} `, new RegExp(`[ :]${part} `));
  }
});

/** The files that a script of tests names, in quotes. */
function patternsOf(script: string): string[] {
  return [...(scripts[script] ?? "").matchAll(/"(test\/[^"]+)"/g)].map(([, pattern = ""]) => pattern);
}
