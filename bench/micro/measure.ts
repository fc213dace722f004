/**
 * Time and allocation of small operations.
 *
 * Time is processor time of this process, all threads together: what other programs take in the meantime does
 * not count, but the collection of an operation's garbage does. Operations take turns in several rounds, so
 * that a slow phase of the machine shows as spread of all of them and not as a property of one; and they
 * share one process, so that call sites see as many kinds of objects as in the proxy.
 *
 * Allocation is the growth of the used heap over a batch that begins with an empty young generation and that
 * no collection interrupts: V8 then counts every object, and beside them only the ends of pages into which
 * the next did not fit. A batch with a collection is repeated with half as many runs. What lies outside of
 * V8's heap, such as the content of buffers, is not counted. A batch in which V8 compiled something is off,
 * which the median over the rounds leaves out.
 */
import { GCProfiler, getHeapStatistics } from "node:v8";
import type { Operation } from "./operation.ts";

/** What one operation took, a number per round. */
export interface Measurement {
  readonly name: string;
  readonly nanos: readonly number[];
  readonly heapBytes: readonly number[];
}

export interface MeasureOptions {
  /** Measured time of each operation, all rounds together. */
  readonly seconds: number;
  readonly rounds: number;
  /** Frees the young generation. */
  readonly scavenge: () => void;
  readonly onRound: (round: number) => void;
}

/** The share of the measured time that each operation runs for beforehand, in which V8 compiles it. */
const WARM_UP_SHARE = 1 / 2;
/** Times that an operation is verified: caches behave differently from the second time on. */
const VERIFICATIONS = 3;
/** A batch lasts at least this long, so that looking at the clock costs nothing in comparison. */
const BATCH_MICROS = 200;
/** Runs whose allocation is counted at once. Too many for the young generation are halved. */
const COUNTED_RUNS = 1_024;

/** Measures all operations. Throws if one gives a wrong result, before or after it was measured. */
export function measure(operations: readonly Operation[], options: MeasureOptions): Measurement[] {
  forgetTargets();
  for (const operation of operations) for (let i = 0; i < VERIFICATIONS; i++) verify(operation);
  const all = operations.map((operation) => ({
    operation,
    batch: warmUp(operation.run, options.seconds * 1_000 * WARM_UP_SHARE),
    nanos: [] as number[],
    heapBytes: [] as number[],
  }));
  const roundMs = (options.seconds * 1_000) / options.rounds;
  for (let round = 1; round <= options.rounds; round++) {
    options.onRound(round);
    for (const { operation, batch, nanos, heapBytes } of all) {
      const { run, count } = operation;
      nanos.push(nanosPerRun(run, batch, roundMs) / count);
      heapBytes.push(heapBytesPerRun(run, options.scavenge) / count);
    }
  }
  for (const operation of operations) verify(operation);
  return all.map(({ operation: { name }, nanos, heapBytes }) => ({ name, nanos, heapBytes }));
}

function verify(operation: Operation): void {
  try {
    operation.verify();
  } catch (error) {
    throw new Error(`${operation.name}: wrong result`, { cause: error });
  }
}

/** Results go here, so that none is optimised away. */
const last: { result: unknown } = { result: undefined };

function repeat(run: () => unknown, times: number): void {
  for (let i = 0; i < times; i++) last.result = run();
}

/**
 * Lets `repeat` see several targets. V8 would inline an only one, and time what no caller in the proxy ever
 * gets.
 */
function forgetTargets(): void {
  for (const run of [() => 1, () => "1", () => [1], () => true]) repeat(run, 1);
}

/** Runs until V8 had its time. @returns how many runs make a batch. */
function warmUp(run: () => unknown, milliseconds: number): number {
  let times = 1;
  const until = performance.now() + milliseconds;
  while (performance.now() < until) {
    const before = process.cpuUsage();
    repeat(run, times);
    if (microsSince(before) < BATCH_MICROS) times *= 2;
  }
  return times;
}

function nanosPerRun(run: () => unknown, batch: number, milliseconds: number): number {
  let runs = 0;
  let micros = 0;
  const until = performance.now() + milliseconds;
  const before = process.cpuUsage();
  // The clock of processor time has steps: not even a very short round may end within its first.
  while (micros === 0) {
    do {
      repeat(run, batch);
      runs += batch;
    } while (performance.now() < until);
    micros = microsSince(before);
  }
  return (micros * 1_000) / runs;
}

function microsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function heapBytesPerRun(run: () => unknown, scavenge: () => void): number {
  for (let times = COUNTED_RUNS; times >= 1; times >>= 1) {
    scavenge();
    const profiler = new GCProfiler();
    profiler.start();
    const before = usedHeapBytes();
    // What the reading itself allocates, which is not the operation's.
    const start = usedHeapBytes();
    repeat(run, times);
    const grown = usedHeapBytes() - start - (start - before);
    if (profiler.stop().statistics.length === 0) return Math.max(0, grown) / times;
  }
  throw new Error("one run allocates more than the young generation holds");
}

function usedHeapBytes(): number {
  return getHeapStatistics().used_heap_size;
}
