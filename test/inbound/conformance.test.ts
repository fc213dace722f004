import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { absent, problemsOf, readTest, repeated, rowsOf } from "../support/conformance.ts";

const TABLES = join(import.meta.dirname, "conformance");
const INVARIANTS = 35;
const RANKED = 15;

describe("the tables of conformance/", () => {
  const rows = readdirSync(TABLES).flatMap((file) => rowsOf(readFileSync(join(TABLES, file), "utf8")));

  test("name tests that exist", () => {
    assert.deepEqual(
      rows.flatMap((row) => problemsOf(row, readTest)),
      [],
    );
  });

  test("have each number once", () => {
    assert.deepEqual(repeated(rows), []);
  });

  test("have every security invariant, and every behaviour that users notice first", () => {
    assert.deepEqual([...absent(rows, "I", INVARIANTS), ...absent(rows, "R", RANKED)], []);
  });
});
