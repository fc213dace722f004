/** `node bench/report/main.ts RESULTS.json`: what a run says about the goals, and the run as a page and in a README. */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { EXIT_OK, EXIT_USAGE } from "../../src/cli/exit-code.ts";
import { table } from "../harness/table.ts";
import { goalsOf } from "./goals.ts";
import { pageOf } from "./page.ts";
import { parseReport } from "./parse-report.ts";
import { readmeSection, replaceSection } from "./readme.ts";
import type { RunReport } from "./run-report.ts";
import { goalsTable } from "./terminal.ts";

const HELP = `node bench/report/main.ts RESULTS.json [options]

  --html FILE     writes the run as one page that needs no network and no other file
  --readme FILE   puts a short section between <!-- bench:begin --> and <!-- bench:end --> of FILE
  --help

RESULTS.json is what npm run bench wrote. Prints the goals beside what was measured. Exits with 64 if the options or a
file are wrong.`;

/** The command line or a file is not what it has to be; the message says which, what was found and what was expected. */
class UsageError extends Error {}

process.exitCode = main();

function main(): number {
  try {
    const { values, positionals } = readArguments();
    if (values.help === true) {
      console.log(HELP);
      return EXIT_OK;
    }
    const [file, ...others] = positionals;
    if (file === undefined || others.length > 0)
      throw new UsageError(`found ${positionals.length} files, expected one: RESULTS.json`);
    run(reportOf(file), values.html, values.readme);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nTry: node bench/report/main.ts --help\n`);
    return EXIT_USAGE;
  }
}

function run(report: RunReport, page: string | undefined, readme: string | undefined): void {
  const goals = goalsOf(report);
  // Before anything is written: a README that cannot take the section leaves no half of the work behind.
  const text = readme === undefined ? undefined : withSection(readme, readmeSection(report, goals));
  console.log(table(goalsTable(goals)));
  if (page !== undefined) write(page, pageOf(report, goals));
  if (readme !== undefined && text !== undefined) write(readme, text);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        html: { type: "string" },
        readme: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}

function reportOf(file: string): RunReport {
  const parsed = parseReport(read(file));
  if (!parsed.ok) throw new UsageError(`${file}: ${parsed.problem}`);
  return parsed.report;
}

function withSection(file: string, section: string): string {
  const text = read(file);
  try {
    return replaceSection(text, section);
  } catch (error) {
    throw new UsageError(`${file}: ${messageOf(error)}`, { cause: error });
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${file}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`${file}: cannot be written: ${messageOf(error)}`, { cause: error });
  }
  console.log(`Written to ${file}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
