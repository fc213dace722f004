import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { generateEnvTable, VARIABLES, type Variable } from "../../src/config/env-names.ts";

function allVariables(node: unknown): Variable<unknown>[] {
  if (typeof node !== "object" || node === null) return [];
  if ("grammar" in node && "name" in node) return [node as Variable<unknown>];
  return Object.values(node).flatMap(allVariables);
}

describe("the table of variables", () => {
  it("is the one that operators read in variables.md", () => {
    const written = readFileSync(new URL("../../src/config/variables.md", import.meta.url), "utf8");
    assert.ok(
      written.endsWith(generateEnvTable()),
      "src/config/variables.md must end with what generateEnvTable() in src/config/env-names.ts returns",
    );
  });

  it("lists every variable exactly once", () => {
    const table = generateEnvTable();
    const names = allVariables(VARIABLES).map((v) => v.name);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.equal(table.split(`\`${name}\``).length, 2, name);
    assert.ok(names.length > 80);
  });

  it("has a default that its own grammar takes", () => {
    for (const variable of allVariables(VARIABLES)) {
      if (!("defaultText" in variable) || typeof variable.defaultText !== "string") continue;
      assert.ok(variable.grammar.parse(variable.defaultText).ok, variable.name);
    }
  });
});
