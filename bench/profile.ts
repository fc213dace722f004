/** `npm run profile -- SCENARIO`: where the proxies spend their time under the load of a scenario, and what they allocate. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeCerts } from "./certs.ts";
import { ALLOCATIONS_DIR_VARIABLE, ALLOCATIONS_SUFFIX } from "./harness/allocations-variable.ts";
import { table } from "./harness/table.ts";
import { specOf } from "./kinds/way.ts";
import { LoadProcess } from "./load/load-process.ts";
import type { LoadResult } from "./load/load-spec.ts";
import { type OutriggerOptions, startOutrigger } from "./peers/outrigger.ts";
import { allocatorsOf, type AllocationProfile, functionsOf, type CpuProfile } from "./profile-functions.ts";
import { SCENARIOS, type LoadScenario } from "./suite.ts";

const HELP = `npm run profile -- SCENARIO [--seconds N] [--top N] [--out DIR]

Runs our proxies twice under the load of a scenario of the bench (npm run bench -- --list). Prints the functions of each that
took the most processor time of their own, then those that allocated the most. The profiles themselves open in the
developer tools of Chromium.

  --seconds N   measured seconds of each run (default 5)
  --top N       functions to print (default 10)
  --out DIR     where the profiles go (default a new directory for temporary files)`;

const PROFILABLE = SCENARIOS.filter((scenario) => scenario.kind === "load");
/** Until compilers have compiled what is hot. */
const WARM_UP_SECONDS = 3;

/** Runs our proxies once. @returns the load's result, and the pids of the proxies by the part they play. */
async function runOnce(
  scenario: LoadScenario,
  options: OutriggerOptions,
  warmUpSeconds: number,
  seconds: number,
): Promise<{ readonly result: LoadResult; readonly proxies: Readonly<Record<string, readonly number[]>> }> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-profile-run-"));
  const load = await LoadProcess.start();
  try {
    const site = { appPort: load.ports[scenario.job.protocol], dir, certs: await writeCerts(dir) };
    const way = await startOutrigger(scenario.job, site, options);
    try {
      const result = await load.run(specOf(scenario.load, way, warmUpSeconds, seconds));
      return { result, proxies: way.proxies };
    } finally {
      // A profile is written by a process that ends in order.
      await way.stop();
    }
  } finally {
    load.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The file that a process of these wrote. @throws Error if there is none. */
function profileOf(part: string, dir: string, pids: readonly number[], suffix: string): string {
  const written = readdirSync(dir).find(
    (name) => name.endsWith(suffix) && pids.some((pid) => name.split(".").includes(String(pid))),
  );
  if (written === undefined) throw new Error(`${part} wrote no ${suffix}`);
  return join(dir, written);
}

async function profile(scenario: LoadScenario, out: string, seconds: number, top: number): Promise<void> {
  const cpu = await runOnce(
    scenario,
    { nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${out}`] },
    WARM_UP_SECONDS,
    seconds,
  );
  console.log(`${cpu.result.requests} requests, ${cpu.result.errors} errors`);
  for (const [part, pids] of Object.entries(cpu.proxies)) {
    const micros = (cpu.result.cpuMicros[part] ?? 0) / cpu.result.requests;
    const file = profileOf(part, out, pids, ".cpuprofile");
    console.log(`\n${part}: ${micros.toFixed(1)} us of CPU a request (${file})`);
    const functions = functionsOf(JSON.parse(readFileSync(file, "utf8")) as CpuProfile, micros);
    console.log(table(functions.slice(0, top)));
  }
  // Every request counts here, since the profile cannot be told when to begin.
  const allocations = await runOnce(
    scenario,
    {
      nodeArgs: ["--import", new URL("harness/allocations.ts", import.meta.url).href],
      environment: { [ALLOCATIONS_DIR_VARIABLE]: out },
    },
    0,
    seconds,
  );
  for (const [part, pids] of Object.entries(allocations.proxies)) {
    const file = profileOf(part, out, pids, ALLOCATIONS_SUFFIX);
    const sampled = JSON.parse(readFileSync(file, "utf8")) as AllocationProfile;
    const { bytesPerRequest, rows } = allocatorsOf(sampled, allocations.result.requests);
    console.log(`\n${part}: ${bytesPerRequest.toFixed(0)} bytes allocated a request (${file})`);
    console.log(table(rows.slice(0, top)));
  }
}

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    top: { type: "string", default: "10" },
    out: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
  allowPositionals: true,
});
const scenario = PROFILABLE.find(({ name }) => name === positionals[0]);
if (values.help === true) {
  console.log(HELP);
} else if (scenario === undefined) {
  const known = PROFILABLE.map(({ name }) => name).join(", ");
  console.error(`profile: found "${positionals.join(" ")}", expected one of ${known}`);
  process.exitCode = 64;
} else {
  const out = resolve(values.out ?? (await mkdtemp(join(tmpdir(), "outrigger-profile-"))));
  mkdirSync(out, { recursive: true });
  await profile(scenario, out, Number(values.seconds), Number(values.top));
}
