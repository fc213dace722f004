import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { madeUpReport } from "./made-up-report.ts";

const MAIN = fileURLToPath(new URL("../../../bench/report/main.ts", import.meta.url));

interface Run {
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

function report(...args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--no-warnings", MAIN, ...args], (error, out, err) => {
      resolve({ code: error?.code ?? 0, out, err });
    });
  });
}

/** A folder with the results of a run in `results.json`. */
async function scratch(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-report-test-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, "results.json"), JSON.stringify(madeUpReport()));
  return dir;
}

test("prints the goals, writes the page and renews the section of a README", async (t) => {
  const dir = await scratch(t);
  const [results, page, readme] = [join(dir, "results.json"), join(dir, "run.html"), join(dir, "README.md")];
  await writeFile(readme, "before\n<!-- bench:begin -->\n<!-- bench:end -->\nafter\n");
  const { code, out, err } = await report(results, "--html", page, "--readme", readme);
  assert.equal(code, 0, err);
  assert.match(out, /CPU to HAProxy's, HTTP\/2, second stage +at most 0\.7 +0\.\d\d +(not )?met/);
  assert.match(await readFile(page, "utf8"), /^<!doctype html>/);
  assert.match(await readFile(readme, "utf8"), /^before\n.*\| pair-http2 \|.*\nafter\n$/s);
});

test("explains itself", async () => {
  const { code, out } = await report("--help");
  assert.equal(code, 0);
  assert.match(out, /RESULTS\.json.*--html FILE.*--readme FILE/s);
});

test("refuses wrong arguments and files with 64 and the reason, and writes nothing then", async (t) => {
  const dir = await scratch(t);
  const file = (name: string): string => join(dir, name);
  await writeFile(file("broken.json"), "{");
  await writeFile(file("old.json"), "{}");
  await writeFile(file("README.md"), "nothing here\n");
  for (const [args, problem] of [
    [[], "found 0 files, expected one: RESULTS.json"],
    [[file("a.json"), file("b.json")], "found 2 files, expected one: RESULTS.json"],
    [["--fast"], "--fast"],
    [[file("missing.json")], `${file("missing.json")}: cannot be read: ENOENT`],
    [[file("broken.json")], `${file("broken.json")}: not JSON: `],
    [[file("old.json")], `${file("old.json")}: found no version, expected version 2`],
    [
      [file("results.json"), "--html", file("run.html"), "--readme", file("README.md")],
      `${file("README.md")}: found <!-- bench:begin --> 0 times, expected it once`,
    ],
    [
      [file("results.json"), "--html", file("no/run.html")],
      `${file("no/run.html")}: cannot be written: ENOENT`,
    ],
  ] as const) {
    const { code, err } = await report(...args);
    assert.equal(code, 64, `${args.join(" ")}: ${err}`);
    assert.ok(err.includes(problem), err);
  }
  await assert.rejects(readFile(file("run.html")), { code: "ENOENT" });
  assert.equal(await readFile(file("README.md"), "utf8"), "nothing here\n");
});
