/** Runs h2spec and reads its report. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** What h2spec found about one listener. */
export interface Report {
  readonly passed: number;
  readonly skipped: readonly string[];
  /** Each case with what was expected and what came. */
  readonly failed: readonly string[];
}

/** Seconds that h2spec waits for an answer, or for silence. */
const CASE_TIMEOUT_SECONDS = 2;
const RUN_TIMEOUT_MS = 300_000;

/** The suites for servers: the generic one, that of RFC 7540 and that of RFC 7541. */
const SUITES = ["generic", "http2", "hpack"];

/** The file that the variable names, or the program of that name on the path; undefined if there is none. */
export function findProgram(
  name: string,
  variable: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const named = environment[variable];
  if (named !== undefined) return isExecutable(named) ? named : undefined;
  return (environment["PATH"] ?? "")
    .split(delimiter)
    .map((dir) => join(dir, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param sections of the suites, such as `http2/6.9.1`; none: all. */
export async function runH2spec(binary: string, port: number, sections: readonly string[]): Promise<Report> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-h2spec-"));
  try {
    const file = join(dir, "report.xml");
    const args = [
      ...[
        "--host",
        "127.0.0.1",
        "--port",
        String(port),
        "--timeout",
        String(CASE_TIMEOUT_SECONDS),
        "--strict",
      ],
      ...["--junit-report", file],
      ...(sections.length === 0 ? SUITES : sections),
    ];
    // It exits with 1 when a case fails: the report says which.
    const output = await run(binary, args, { timeout: RUN_TIMEOUT_MS, maxBuffer: 16 << 20 }).then(
      ({ stdout, stderr }) => stdout + stderr,
      (error: { readonly stdout?: string; readonly stderr?: string }) => `${error.stdout}${error.stderr}`,
    );
    const report = await readFile(file, "utf8").catch(() => undefined);
    if (report === undefined) throw new Error(`h2spec left no report:\n${output}`);
    return readReport(report);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const run = promisify(execFile);

/** Reads the JUnit report of h2spec. */
export function readReport(xml: string): Report {
  let passed = 0;
  const skipped: string[] = [];
  const failed: string[] = [];
  for (const [, attributes = "", content = ""] of xml.matchAll(
    /<testcase\b([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs,
  )) {
    const attribute = (name: string): string =>
      unescapeXml(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    const name = `${attribute("package")}: ${attribute("classname")}`;
    if (content.includes("<failure") || content.includes("<error")) {
      // What would have been right, line by line, and last what came.
      const lines = unescapeXml(content.replace(/<[^>]*>/g, ""))
        .trim()
        .split("\n");
      const actual = lines.pop();
      failed.push(`${name}: expected ${lines.join(" or ")}, got ${actual}`);
    } else if (content.includes("<skipped")) skipped.push(name);
    else passed++;
  }
  const told = [...xml.matchAll(/<testsuite\b[^>]*?\btests="(\d+)"/g)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  );
  const read = passed + skipped.length + failed.length;
  if (read !== told) throw new Error(`the report tells of ${told} cases and has ${read}`);
  return { passed, skipped, failed };
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&lt;", "<"],
  ["&gt;", ">"],
  ["&quot;", '"'],
  ["&#34;", '"'],
  ["&#39;", "'"],
  ["&#xA;", "\n"],
  ["&amp;", "&"],
]);

function unescapeXml(text: string): string {
  return text.replace(/&(?:lt|gt|quot|amp|#34|#39|#xA);/g, (entity) => ENTITIES.get(entity) ?? entity);
}
