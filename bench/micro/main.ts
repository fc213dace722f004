/** `npm run bench:micro`: what the protocol codecs cost, one operation at a time. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { EXIT_OK, EXIT_USAGE } from "../../src/cli/exit-code.ts";
import { median } from "../harness/median.ts";
import { table } from "../harness/table.ts";
import { measure, type Measurement } from "./measure.ts";
import type { Operation } from "./operation.ts";
import { allOperations } from "./operations/all.ts";

const ROUNDS = 5;

const HELP = `npm run bench:micro -- [options]

  --seconds N   measured seconds per operation, after a warm-up of half as long (default 0.5)
  --only TEXT   only operations with TEXT in their name
  --json FILE   writes the results to FILE too
  --list        prints the names of the operations
  --help

Prints the median over ${ROUNDS} rounds of the processor time per operation, how far the rounds lie from it,
the bytes that one operation allocates on V8's heap, and how many fit into a second of one core. Exits with 64
if the options are wrong.`;

interface Options {
  readonly seconds: number;
  readonly operations: readonly Operation[];
  readonly json: string | undefined;
}

/** One operation, as the file of `--json` tells it. */
interface Result {
  readonly name: string;
  readonly nanosPerOperation: number;
  readonly lowestNanos: number;
  readonly highestNanos: number;
  readonly heapBytesPerOperation: number;
  readonly operationsPerSecond: number;
}

process.exitCode = main();

function main(): number {
  const options = readOptions();
  if (typeof options === "string") {
    process.stderr.write(`bench:micro: ${options}\nTry: npm run bench:micro -- --help\n`);
    return EXIT_USAGE;
  }
  if (options === undefined) return EXIT_OK;
  const { gc } = globalThis;
  if (gc === undefined) {
    process.stderr.write("bench:micro: allocation is measured with node --expose-gc\n");
    return EXIT_USAGE;
  }
  const results = measure(options.operations, {
    seconds: options.seconds,
    rounds: ROUNDS,
    scavenge: () => gc({ type: "minor", execution: "sync" }),
    onRound: (round) => void process.stderr.write(`round ${round} of ${ROUNDS}\n`),
  }).map(resultOf);
  console.log(table(results.map(row)));
  if (options.json !== undefined) save(options.json, options.seconds, results);
  return EXIT_OK;
}

/** @returns undefined if what was asked for is already printed, a text if something is wrong. */
function readOptions(): Options | string | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: "string", default: "0.5" },
        only: { type: "string", default: "" },
        json: { type: "string" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    const seconds = Number(values.seconds);
    if (!Number.isFinite(seconds) || seconds <= 0)
      return `--seconds: found "${values.seconds}", expected a number above 0`;
    const text = values.only.toLowerCase();
    const operations = allOperations().filter(({ name }) => name.toLowerCase().includes(text));
    if (operations.length === 0) return `--only: no operation has "${values.only}" in its name`;
    if (values.help !== true && values.list !== true) return { seconds, operations, json: values.json };
    console.log(values.help === true ? HELP : operations.map(({ name }) => name).join("\n"));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function resultOf({ name, nanos, heapBytes }: Measurement): Result {
  const nanosPerOperation = median(nanos);
  return {
    name,
    nanosPerOperation,
    lowestNanos: Math.min(...nanos),
    highestNanos: Math.max(...nanos),
    heapBytesPerOperation: median(heapBytes),
    operationsPerSecond: 1e9 / nanosPerOperation,
  };
}

function row(result: Result): Record<string, string> {
  const { name, nanosPerOperation, lowestNanos, highestNanos } = result;
  const spread = (100 * (highestNanos - lowestNanos)) / 2 / nanosPerOperation;
  return {
    operation: name,
    "ns/op": nanosPerOperation.toFixed(nanosPerOperation < 100 ? 1 : 0),
    spread: `±${spread.toFixed(0)}%`,
    "heap B/op": result.heapBytesPerOperation.toFixed(0),
    "ops/s": Math.round(result.operationsPerSecond).toLocaleString("en-US"),
  };
}

function save(file: string, seconds: number, operations: readonly Result[]): void {
  const machine = { cores: cpus().length, model: cpus()[0]?.model ?? "", node: process.version };
  const report = { date: new Date().toISOString(), machine, seconds, rounds: ROUNDS, operations };
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
}
