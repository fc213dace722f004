/** `npm run bench`: what the proxies cost and add, beside the direct path and beside other proxies, in one run. */
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeCerts } from "./certs.ts";
import { canPin } from "./harness/cpu.ts";
import { table } from "./harness/report.ts";
import { LoadProcess } from "./load/load-process.ts";
import { measure, type Measurements } from "./measure.ts";
import { PEERS } from "./peers/all.ts";
import { outrigger, outriggerAt } from "./peers/outrigger.ts";
import type { Peer } from "./peers/peer.ts";
import { ratiosOf, rowsOf } from "./summary.ts";
import { DEFAULT_SCENARIOS, SCENARIOS, type Scenario } from "./suite.ts";

const HELP = `npm run bench -- [options]

  --list             the scenarios and the proxies to compare with
  --scenario A,B     these scenarios, or "all" (default: ${DEFAULT_SCENARIOS.join(", ")})
  --against A,B      these proxies, "all" or "none" (default: haproxy, node:http2)
  --base DIR         also another checkout of this project: what a change costs or saves
  --rounds N         rounds; the proxies take turns in each (default 3)
  --seconds N        measured seconds of each turn (default 3)
  --warm-up N        seconds of load for each proxy before the first round (default 3)
  --json FILE        where the figures go (default bench/results/DATE.json)
  --help

Every proxy does the same job on the same core; the load and the application share another. Absolute figures change from
machine to machine and from hour to hour: compare the ratios, which are medians over the rounds.`;

const DEFAULT_AGAINST = "haproxy,node:http2";

function fail(problem: string): never {
  console.error(problem);
  process.exit(64);
}

function parse() {
  try {
    return parseArgs({
      options: {
        list: { type: "boolean" },
        scenario: { type: "string", default: DEFAULT_SCENARIOS.join(",") },
        against: { type: "string", default: DEFAULT_AGAINST },
        base: { type: "string" },
        rounds: { type: "string", default: "3" },
        seconds: { type: "string", default: "3" },
        "warm-up": { type: "string", default: "3" },
        json: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) fail(`${flag}: found "${text}", expected a number above 0`);
  return value;
}

/** Those named in a list, in their own order. */
function chosen<T extends { readonly name: string }>(
  flag: string,
  text: string,
  all: readonly T[],
): readonly T[] {
  if (text === "all") return all;
  if (text === "none") return [];
  const names = text.split(",").filter(Boolean);
  const known = all.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) fail(`${flag}: found "${unknown}", expected some of ${known.join(", ")}`);
  return all.filter(({ name }) => names.includes(name));
}

function list(): void {
  console.log("Scenarios:");
  console.log(table(SCENARIOS.map(({ name, title }) => ({ name, "what is measured": title }))));
  console.log("\nProxies:");
  console.log(table(PEERS.map((peer) => ({ name: peer.name, state: peer.missing() ?? "available" }))));
}

function save(file: string | undefined, results: ReadonlyMap<Scenario, Measurements>, options: object): void {
  const date = new Date().toISOString();
  const machine = {
    cores: cpus().length,
    model: cpus()[0]?.model ?? "",
    node: process.version,
    pinned: canPin(),
  };
  const scenarios = [...results].map(([{ name, title }, measurements]) => ({
    name,
    title,
    ratios: ratiosOf(measurements),
    rounds: Object.fromEntries(measurements),
  }));
  mkdirSync(new URL("results/", import.meta.url), { recursive: true });
  const name = `${date.slice(0, 19).replaceAll(":", "-")}.json`;
  const target = file ?? new URL(`results/${name}`, import.meta.url);
  writeFileSync(target, `${JSON.stringify({ date, machine, ...options, scenarios }, undefined, 2)}\n`);
  console.log(`\nWritten to ${file ?? `bench/results/${name}`}`);
}

async function main(): Promise<void> {
  const values = parse();
  if (values.help === true) return console.log(HELP);
  if (values.list === true) return list();
  const rounds = positive("--rounds", values.rounds);
  const seconds = positive("--seconds", values.seconds);
  const warmUpSeconds = positive("--warm-up", values["warm-up"]);
  const scenarios = chosen("--scenario", values.scenario, SCENARIOS);
  const asked = [...chosen("--against", values.against, PEERS)];
  if (values.base !== undefined) asked.unshift(outriggerAt(values.base));
  const present: Peer[] = [];
  for (const peer of asked) {
    const missing = peer.missing();
    if (missing === undefined) present.push(peer);
    else console.log(`Without ${peer.name}: ${missing}.`);
  }
  if (!canPin())
    console.log("Processes cannot be kept on cores of their own here: the figures disturb each other.");
  const dir = await mkdtemp(join(tmpdir(), "outrigger-bench-"));
  const load = await LoadProcess.start();
  const results = new Map<Scenario, Measurements>();
  try {
    const certs = await writeCerts(dir);
    for (const scenario of scenarios) {
      const peers = [outrigger, ...present].filter((peer) => peer.takes(scenario.job));
      const measurements = await measure(load, scenario, {
        ...{ rounds, seconds, warmUpSeconds, peers, certs, dir },
        onStep: (text) => process.stderr.write(`${scenario.name}: ${text}\n`),
      });
      results.set(scenario, measurements);
      console.log(`\n${scenario.name}: ${scenario.title}\n${table(rowsOf(scenario, measurements))}`);
    }
    save(values.json, results, { rounds, seconds });
  } finally {
    load.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

await main();
