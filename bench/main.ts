/** `npm run bench`: what the proxies cost and add, beside the direct path and beside other proxies, in one run. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Budget, readBudgets, verdictRows } from "./budgets.ts";
import { checkBudgets } from "./check.ts";
import { OURS } from "./figures.ts";
import { table } from "./harness/table.ts";
import { SLOW_DOWN_VARIABLE } from "./harness/slow-down-variable.ts";
import { HELP, chosen, parseOptions, UsageError, type Options } from "./options.ts";
import { PEERS } from "./peers/all.ts";
import { outrigger, outriggerAt, outriggerWith } from "./peers/outrigger.ts";
import type { Peer } from "./peers/peer.ts";
import { goalsOf } from "./report/goals.ts";
import { pageOf } from "./report/page.ts";
import { readmeSection, replaceSection } from "./report/readme.ts";
import type { RunReport } from "./report/run-report.ts";
import { goalsTable } from "./report/terminal.ts";
import { runBench, type RunOptions } from "./run.ts";
import { rowsOf } from "./summary.ts";
import { SCENARIOS } from "./suite.ts";

function list(): void {
  console.log("Scenarios:");
  console.log(table(SCENARIOS.map(({ name, title }) => ({ name, "what is measured": title }))));
  console.log("\nProxies:");
  console.log(table(PEERS.map((peer) => ({ name: peer.name, state: peer.missing() ?? "available" }))));
}

/** Ourselves, slower if that was asked for. */
function ours({ slowDownMicros }: Options): Peer {
  if (slowDownMicros === 0) return outrigger;
  return outriggerWith(
    OURS,
    {},
    {
      nodeArgs: ["--import", new URL("harness/slow-down.ts", import.meta.url).href],
      environment: { [SLOW_DOWN_VARIABLE]: String(slowDownMicros) },
    },
  );
}

function run(options: Options, what: Pick<RunOptions, "scenarios" | "against">): Promise<RunReport> {
  const { rounds, seconds, warmUpSeconds, minutes } = options;
  return runBench({
    ...{ ...what, rounds, seconds, warmUpSeconds, minutes },
    ours: ours(options),
    onLine: (line) => console.error(line),
    onScenario: (report) => console.log(`\n${report.name}: ${report.title}\n${table(rowsOf(report))}`),
  });
}

async function measure(options: Options): Promise<void> {
  const { base, scenarios } = options;
  const against = base === undefined ? options.against : [outriggerAt(base), ...options.against];
  const report = await run(options, { scenarios, against });
  const goals = goalsOf(report);
  console.log(`\nGoals:\n${table(goalsTable(goals))}`);
  const results = fileURLToPath(new URL("results/", import.meta.url));
  mkdirSync(results, { recursive: true });
  const json = options.json ?? `${results}${report.date.slice(0, 19).replaceAll(":", "-")}.json`;
  const html = options.html ?? `${json.replace(/\.json$/, "")}.html`;
  writeFileSync(json, `${JSON.stringify(report)}\n`);
  writeFileSync(html, pageOf(report, goals));
  console.log(`\nFigures: ${json}\nPlots:   ${html}`);
  if (options.readme) {
    const readme = new URL("../README.md", import.meta.url);
    writeFileSync(readme, replaceSection(readFileSync(readme, "utf8"), readmeSection(report, goals)));
    console.log("README.md has the new figures.");
  }
}

/** @returns whether every budget that could be measured was kept. */
async function check(options: Options): Promise<boolean> {
  const all = readBudgets(new URL("budgets.json", import.meta.url));
  const budgets = options.short ? all.filter(({ short }) => short) : all;
  const namesOf = (of: (budget: Budget) => string, some: readonly Budget[]): string => some.map(of).join(",");
  const verdicts = await checkBudgets(budgets, (due) =>
    run(options, {
      scenarios: chosen(
        "budgets.json",
        namesOf(({ scenario }) => scenario, due),
        SCENARIOS,
      ),
      against: chosen(
        "budgets.json",
        namesOf(({ against }) => against, due),
        PEERS,
      ),
    }),
  );
  console.log(`\nBudgets:\n${table(verdictRows(verdicts))}`);
  const missed = verdicts.filter(({ kept }) => kept === false);
  for (const { budget, ratio } of missed)
    console.error(`Budget missed: ${budget.name}: found ${ratio?.toFixed(2)}, at most ${budget.atMost}`);
  if (verdicts.every(({ kept }) => kept === undefined)) console.error("No budget could be measured.");
  return missed.length === 0 && verdicts.some(({ kept }) => kept === true);
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(HELP);
  else if (options.list) list();
  else if (!options.check) await measure(options);
  else if (!(await check(options))) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 64;
}
