/** `npm run profile -- SCENARIO`: where the proxies spend their time under the load of a scenario. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeCerts } from "./certs.ts";
import { table } from "./harness/report.ts";
import { LoadProcess } from "./load/load-process.ts";
import { specOf } from "./measure.ts";
import { startOutrigger } from "./peers/outrigger.ts";
import { functionsOf, type CpuProfile } from "./profile-functions.ts";
import { SCENARIOS } from "./suite.ts";

const HELP = `npm run profile -- SCENARIO [--seconds N] [--top N]

Runs our proxies under the load of a scenario of the bench (npm run bench -- --list) and prints the functions of each that
took the most processor time of their own.`;

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    top: { type: "string", default: "30" },
    help: { type: "boolean", short: "h" },
  },
  allowPositionals: true,
});
const scenario = SCENARIOS.find(({ name }) => name === positionals[0]);
if (values.help === true) {
  console.log(HELP);
} else if (scenario === undefined) {
  const known = SCENARIOS.map(({ name }) => name).join(", ");
  console.error(`profile: found "${positionals.join(" ")}", expected one of ${known}`);
  process.exitCode = 64;
} else {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-profile-"));
  const load = await LoadProcess.start();
  try {
    const site = { appPort: load.ports[scenario.job.protocol], dir, certs: await writeCerts(dir) };
    const profiles = join(dir, "profiles");
    const way = await startOutrigger(scenario.job, site, {
      nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${profiles}`],
    });
    const result = await load.run(specOf(scenario, way, 3, Number(values.seconds)));
    // A profile is written by a process that ends in order.
    await way.stop();
    console.log(`${result.requests} requests, ${result.errors} errors`);
    for (const [part, pids] of Object.entries(way.proxies)) {
      const micros = (result.cpuMicros[part] ?? 0) / result.requests;
      const file = readdirSync(profiles).find((name) => pids.some((pid) => name.includes(`.${pid}.`)));
      console.log(`\n${part}: ${micros.toFixed(1)} us of CPU a request`);
      if (file === undefined) throw new Error(`${part} wrote no profile`);
      const profile = JSON.parse(readFileSync(join(profiles, file), "utf8")) as CpuProfile;
      console.log(table(functionsOf(profile, micros).slice(0, Number(values.top))));
    }
  } finally {
    load.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
