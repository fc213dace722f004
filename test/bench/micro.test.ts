import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../bench/micro/main.ts", import.meta.url));

interface Result {
  readonly name: string;
  readonly nanosPerOperation: number;
  readonly heapBytesPerOperation: number;
  readonly operationsPerSecond: number;
}

function run(...args: readonly string[]) {
  return spawnSync(
    process.execPath,
    ["--expose-gc", "--disable-warning=ExperimentalWarning", MAIN, ...args],
    { encoding: "utf8", timeout: 20_000 },
  );
}

describe("bench:micro", () => {
  let dir = "";
  before(() => {
    dir = mkdtempSync(join(tmpdir(), "outrigger-micro-"));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("verifies and measures every operation that it lists", () => {
    const names = run("--list").stdout.trim().split("\n");
    assert.ok(names.length > 20, names.join(", "));
    const file = join(dir, "results.json");
    const { status, stdout, stderr } = run("--seconds", "0.005", "--json", file);
    assert.equal(status, 0, stderr);
    // The file is our own: its form is what `--json` promises.
    const { operations } = JSON.parse(readFileSync(file, "utf8")) as { operations: readonly Result[] };
    assert.deepEqual(
      operations.map(({ name }) => name),
      names,
    );
    for (const { name, nanosPerOperation, heapBytesPerOperation, operationsPerSecond } of operations) {
      assert.ok(Number.isFinite(nanosPerOperation) && nanosPerOperation > 0, `${name}: ${nanosPerOperation}`);
      assert.ok(heapBytesPerOperation >= 0, `${name}: ${heapBytesPerOperation}`);
      assert.ok(Number.isFinite(operationsPerSecond), `${name}: ${operationsPerSecond}`);
      assert.ok(stdout.includes(name), `${name} is not in the table`);
    }
  });

  it("measures only what --only asks for", () => {
    assert.match(run("--list", "--only", "huffman decode").stdout, /^Huffman decode: .*\n$/);
  });

  for (const [args, problem] of [
    [["--fast"], /Unknown option '--fast'/],
    [["--seconds", "soon"], /found "soon", expected a number above 0/],
    [["--only", "SMTP"], /no operation has "SMTP" in its name/],
  ] as const) {
    it(`refuses ${args.join(" ")} with exit code 64`, () => {
      const { status, stdout, stderr } = run(...args);
      assert.equal(status, 64);
      assert.match(stderr, problem);
      assert.equal(stdout, "");
    });
  }
});
