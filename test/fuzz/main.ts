/** `npm run fuzz`: strangers' bytes for everything that reads them, for as long as one likes. */
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { readFinding, writeFinding } from "./finding-file.ts";
import { problemOf, type Finding } from "./fuzzer.ts";
import { InputBuffer } from "./input-buffer.ts";
import type { FuzzSummary, FuzzWork } from "./summary.ts";
import { TARGETS } from "./targets.ts";

const HELP = `npm run fuzz -- [options]

  --seconds N     how long (default 60)
  --seed S        chance (default: the time); the same seed begins with the same inputs
  --target NAME   only this one; may be repeated: ${TARGETS.map(({ name }) => name).join(", ")}
  --features      prints what was reached, and by how many inputs
  --replay FILE   runs the input of a finding once more, alone
  --help

Writes each finding to a file that --replay takes. Exit code: 0 without findings, 1 with.`;

/** An input that takes this long is taken for one that never ends. */
const HANG_MS = 20_000;
const HANG_CHECK_MS = 500;
/** Bound of the fuzzing thread's objects: whoever needs more keeps too much. */
const HEAP_MIB = 384;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    target: { type: "string", multiple: true },
    features: { type: "boolean", default: false },
    replay: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});

if (values.help === true) console.log(HELP);
else if (values.replay !== undefined) await replay(values.replay);
else
  await fuzz(number("--seconds", values.seconds), number("--seed", values.seed ?? String(Date.now() >>> 0)));

async function replay(file: string): Promise<void> {
  const { target: name, input } = readFinding(file);
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined) throw new Error(`${file}: no target ${JSON.stringify(name)}`);
  const startedAtMs = performance.now();
  try {
    const features = await target.run(input);
    console.log(`${name}: passes; reached ${features.join("; ")}`);
  } catch (error) {
    console.log(`${name}: ${problemOf(error)}`);
    process.exitCode = 1;
  }
  console.log(`${(performance.now() - startedAtMs).toFixed(1)} ms`);
}

async function fuzz(seconds: number, seed: number): Promise<void> {
  const names = TARGETS.map(({ name }) => name);
  const targets = values.target ?? names;
  for (const name of targets) {
    if (!names.includes(name))
      throw new Error(`--target: ${JSON.stringify(name)} is none of ${names.join(", ")}`);
  }
  console.log(`seed ${seed}, ${seconds} s, ${targets.length} targets`);
  const current = new InputBuffer();
  const work: FuzzWork = { targets, seconds, seed, shared: current.shared };
  const worker = new Worker(new URL("worker.ts", import.meta.url), {
    workerData: work,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
  });
  let findings = 0;
  const report = (finding: Finding): void => {
    findings++;
    console.log(`FINDING in ${finding.target}: ${finding.problem}\n  ${writeFinding(finding)}`);
  };
  const { promise: over, resolve } = Promise.withResolvers<void>();
  let isAbandoned = false;
  const abandon = (problem: string): void => {
    isAbandoned = true;
    report({ ...current.read(), problem });
    void worker.terminate();
  };
  // Our own thread sends these two and nothing else.
  worker.on("message", (message: FuzzSummary[] | Finding) => {
    if (Array.isArray(message)) print(message);
    else report({ ...message, input: message.input.map((segment) => Buffer.from(segment)) });
  });
  worker.on("error", (error) => abandon(problemOf(error)));
  worker.on("exit", (code) => {
    // Nothing left to wait for, in the middle of an input: it waits for ever.
    if (code !== 0 && !isAbandoned) report({ ...current.read(), problem: `the thread ended with ${code}` });
    resolve();
  });
  let last = -1;
  let sinceMs = performance.now();
  const watchdog = setInterval(() => {
    if (current.execution !== last) {
      last = current.execution;
      sinceMs = performance.now();
    } else if (performance.now() - sinceMs > HANG_MS) abandon(`no end after ${HANG_MS / 1000} s`);
  }, HANG_CHECK_MS);
  await over;
  clearInterval(watchdog);
  console.log(`${findings} findings; the most memory of the process was ${maxRssMiB()} MiB`);
  if (findings > 0) process.exitCode = 1;
}

function print(summaries: readonly FuzzSummary[]): void {
  let total = 0;
  for (const { target, executions, seconds, corpus, features } of summaries) {
    total += executions;
    const rate = Math.round(executions / Math.max(seconds, 0.001));
    console.log(
      `${target.padEnd(20)} ${String(executions).padStart(9)} executions ${String(rate).padStart(7)}/s ` +
        `${String(features.length).padStart(5)} features ${String(corpus).padStart(5)} inputs kept`,
    );
    const frames = features.filter(([feature]) => feature.startsWith("sent "));
    if (frames.length > 0)
      console.log(`  frames: ${frames.map(([f, n]) => `${f.slice(5)} ${n}`).join(", ")}`);
    if (values.features) for (const [feature, inputs] of features) console.log(`  ${inputs} x ${feature}`);
  }
  console.log(`${total} executions in all`);
}

function maxRssMiB(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function number(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new Error(`${option} must be a positive number, not ${text}`);
  return value;
}
