import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** The program behind `npm run bench`. */
export const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

export interface Run {
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end. */
export function bench(...args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--no-warnings", MAIN, ...args], (error, out, err) => {
      resolve({ code: error?.code ?? 0, out, err });
    });
  });
}

/** A directory for as long as the test runs. */
export async function scratch(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-bench-test-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs the short form of the check to its end. */
export function check(...args: readonly string[]): Promise<Run> {
  return bench("--check", "--short", "--seconds", "0.4", ...args);
}
