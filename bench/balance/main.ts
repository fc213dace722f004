/** `node bench/balance/main.ts [--svg FILE] [--rate N] [--slow-ms MS] [--seconds S] [--seed N]` */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { plot } from "./plot.ts";
import { DEFAULTS, simulate, STRATEGIES, type Run, type SimulationParams } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    svg: { type: "string" },
    rate: { type: "string" },
    "slow-ms": { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string" },
  },
});
const params: SimulationParams = {
  ...DEFAULTS,
  requestsPerSecond: positive("rate") ?? DEFAULTS.requestsPerSecond,
  slowMs: positive("slow-ms") ?? DEFAULTS.slowMs,
  endMs: DEFAULTS.slowAtMs + (positive("seconds") ?? (DEFAULTS.endMs - DEFAULTS.slowAtMs) / 1000) * 1000,
  seed: positive("seed") ?? DEFAULTS.seed,
};
const runs = STRATEGIES.map((strategy) => simulate(strategy, params));
const { endpoints, requestsPerSecond, fastMs, slowMs } = params;
process.stdout.write(
  `${endpoints} endpoints of ${fastMs} ms, one of which takes ${slowMs} ms; ${requestsPerSecond} requests/s; ` +
    `${(params.endMs - params.slowAtMs) / 1000} s\n\n${table(runs)}`,
);
if (values.svg !== undefined) {
  writeFileSync(values.svg, plot(runs, params));
  process.stdout.write(`\nplot in ${values.svg}\n`);
}

function table(all: readonly Run[]): string {
  const rows = all.map(({ strategy, slowShare, p50Ms, p99Ms }) => [
    strategy,
    `${(slowShare * 100).toFixed(2)} %`,
    `${p50Ms.toFixed(1)} ms`,
    `${p99Ms.toFixed(1)} ms`,
  ]);
  return [["strategy", "to the slow one", "p50", "p99"], ...rows]
    .map((row) => `${row.map((cell, i) => (i === 0 ? cell.padEnd(14) : cell.padStart(17))).join("")}\n`)
    .join("");
}

function positive(name: "rate" | "slow-ms" | "seconds" | "seed"): number | undefined {
  const given = values[name];
  if (given === undefined) return undefined;
  const number = Number(given);
  if (!(number > 0 && Number.isFinite(number))) {
    process.stderr.write(`--${name}: found "${given}", expected a number above 0\n`);
    process.exit(64);
  }
  return number;
}
