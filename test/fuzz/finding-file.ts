import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding } from "./fuzzer.ts";

/** Writes a finding, so that it can be run again alone. Returns the path. */
export function writeFinding({ target, input, problem }: Finding): string {
  const dir = join(tmpdir(), "outrigger-fuzz");
  mkdirSync(dir, { recursive: true });
  const segments = input.map((segment) => segment.toString("base64"));
  const name = createHash("sha256").update(segments.join()).digest("hex").slice(0, 12);
  const file = join(dir, `${target}-${name}.json`);
  writeFileSync(file, `${JSON.stringify({ target, problem, segments }, undefined, 2)}\n`);
  return file;
}

/** @throws Error naming the file if it is not one that `writeFinding` wrote. */
export function readFinding(file: string): Finding {
  const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (typeof parsed === "object" && parsed !== null && "target" in parsed && "segments" in parsed) {
    const { target, segments } = parsed;
    const problem = "problem" in parsed ? String(parsed.problem) : "";
    if (typeof target === "string" && Array.isArray(segments)) {
      return { target, problem, input: segments.map((text) => Buffer.from(String(text), "base64")) };
    }
  }
  throw new Error(`${file} is no finding: expected an object with "target" and "segments"`);
}
