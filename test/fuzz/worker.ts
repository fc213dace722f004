/** The thread that fuzzes: the targets take turns until the time is over. */
import { parentPort, workerData } from "node:worker_threads";
import { Fuzzer } from "./fuzzer.ts";
import { InputBuffer } from "./input-buffer.ts";
import type { FuzzSummary, FuzzWork } from "./summary.ts";
import { TARGETS } from "./targets.ts";

/** A turn: long enough to be cheap, short enough that every target gets some of even a short run. */
const TURN_MS = 250;

// The main thread is the only one who starts this one, with this as its data.
const work = workerData as FuzzWork;
const current = new InputBuffer(work.shared);
const fuzzers = TARGETS.filter(({ name }) => work.targets.includes(name)).map(
  (target) => new Fuzzer(target, work.seed, (name, input) => current.write(name, input)),
);
for (const fuzzer of fuzzers) await fuzzer.start();
const endMs = performance.now() + work.seconds * 1000;
while (performance.now() < endMs) {
  for (const fuzzer of fuzzers) {
    const turnEndMs = performance.now() + TURN_MS;
    await fuzzer.run(() => performance.now() > turnEndMs);
    for (const finding of fuzzer.findings.splice(0)) {
      parentPort?.postMessage({ ...finding, input: finding.input.map((segment) => new Uint8Array(segment)) });
    }
  }
}
const summary: FuzzSummary[] = fuzzers.map((fuzzer) => ({
  target: fuzzer.target.name,
  executions: fuzzer.executions,
  seconds: fuzzer.spentMs / 1000,
  corpus: fuzzer.corpusSize,
  features: [...fuzzer.features],
}));
parentPort?.postMessage(summary);
// Streams of Node's own servers may linger.
parentPort?.close();
