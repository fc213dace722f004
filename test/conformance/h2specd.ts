/** Runs h2specd, which plays the server, against the HTTP/2 client of both proxies. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { stripVTControlCharacters } from "node:util";
import { fileURLToPath } from "node:url";
import type { Report } from "./h2spec.ts";

const CLIENT = fileURLToPath(new URL("client.ts", import.meta.url));
const CASE_TIMEOUT_SECONDS = 2;
/** Each case has a port of its own from here on, below those that systems give to clients. */
const FROM_PORT = 21_000;

/** Cases whose demand is not that of RFC 9113, which came later; each with what holds instead. */
export const OTHERWISE: ReadonlyMap<string, string> = new Map([
  [
    "5.1. Stream States: closed: Sends a DATA frame",
    "RFC 9113 section 6.1: DATA on a closed stream is an error of that stream; the others live on",
  ],
]);

/** @throws Error with its output if h2specd does not get to its summary. */
export async function runH2specd(binary: string): Promise<Report> {
  const client = `${process.execPath} --no-warnings ${CLIENT}`;
  const args = [
    ...["--from-port", String(FROM_PORT), "--timeout", String(CASE_TIMEOUT_SECONDS), "--strict"],
    ...["--exec", client],
  ];
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    // When it is done it complains about its own closed ports until it is gone.
    if (!line.includes("use of closed network connection")) lines.push(stripVTControlCharacters(line));
    if (SUMMARY.test(lines.at(-1) ?? "")) break;
  }
  child.kill();
  return readOutput(lines);
}

const SUMMARY = /^(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/;

/** Reads what h2specd prints: the tree of cases, the failures once more, the summary. */
export function readOutput(lines: readonly string[]): Report {
  const summary = SUMMARY.exec(lines.at(-1) ?? "");
  if (summary === null) throw new Error(`h2specd came to no end:\n${lines.join("\n")}`);
  const [, , passed, skipped] = summary.map(Number);
  const failed: string[] = [];
  let section = "";
  const at = lines.findIndex((line) => line.startsWith("Failures:"));
  for (const line of at < 0 ? [] : lines.slice(at + 1)) {
    const [, title] = /^ +(\d+(?:\.\d+)*\. .*)$/.exec(line) ?? [];
    const [, name] = /^ +× \d+: (.*)$/.exec(line) ?? [];
    if (title !== undefined) section = title;
    else if (name !== undefined) failed.push(`${section}: ${name}`);
  }
  if (failed.length !== Number(summary[4]))
    throw new Error(`h2specd names ${failed.length} of ${summary[4]} failures`);
  return {
    passed: passed ?? 0,
    skipped: Array.from({ length: skipped ?? 0 }, (_, i) => `case ${i + 1}, which h2specd does not name`),
    failed,
  };
}
