import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { generate } from "../../src/proto/generate.ts";

const COMMITTED = fileURLToPath(new URL("../../src/proto/gen/", import.meta.url));

it("generating again changes nothing", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "gen-"));
  t.after(() => rmSync(dir, { recursive: true }));
  try {
    generate(dir);
  } catch (error) {
    // The package of buf fetches its program when it is installed; without it there is nothing to compare with.
    if (error instanceof Error && /ENOENT|Failed to find package/.test(error.message)) {
      t.skip("buf is not installed for this platform");
      return;
    }
    throw error;
  }
  const files = readdirSync(COMMITTED).sort();
  assert.deepEqual(readdirSync(dir).sort(), files);
  for (const file of files) {
    assert.equal(readFileSync(join(dir, file), "utf8"), readFileSync(join(COMMITTED, file), "utf8"), file);
  }
});
