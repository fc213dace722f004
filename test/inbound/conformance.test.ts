import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { problemsOf, readTest, repeated, rowsOf } from "../support/conformance.ts";

const TABLES = join(import.meta.dirname, "conformance");

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
});
