import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { seeded } from "../support/chance.ts";
import { mutate } from "./mutate.ts";
import type { FuzzTarget, Input } from "./target.ts";

/** An input that broke a promise. */
export interface Finding {
  readonly target: string;
  readonly input: Input;
  readonly problem: string;
}

/** What one input may take unless the target says otherwise: far above what any of them needs, far below a hang. */
const SLOW_MS = 1_000;
/** Objects and buffers of this thread that are still in use: none of the targets comes near it. */
const MEMORY_MAX_BYTES = 256 * 1024 * 1024;
const MEMORY_CHECK_EXECUTIONS = 64;
const CORPUS_MAX = 2_000;
/** Kept inputs are cut from larger ones: copied, and bounded, so that they are not what uses the memory. */
const CORPUS_MAX_BYTES = 8 * 1024 * 1024;

/**
 * Runs one target on mutations of what it has found interesting so far. Reproducible: the same seed and number of
 * executions find the same.
 */
export class Fuzzer {
  readonly target: FuzzTarget;
  executions = 0;
  /** Milliseconds spent in executions. */
  spentMs = 0;
  readonly findings: Finding[] = [];
  /** How many inputs reached each feature. */
  readonly features = new Map<string, number>();
  readonly #random: () => number;
  readonly #seed: number;
  readonly #onInput: (target: string, input: Input) => void;
  #corpus: Input[] = [];
  #corpusBytes = 0;
  #seedsLeft = 0;
  readonly #problems = new Set<string>();

  /** @param onInput told of each input before it runs, so that one which never ends can be named by somebody else. */
  constructor(target: FuzzTarget, seed: number, onInput: (target: string, input: Input) => void = () => {}) {
    this.target = target;
    this.#seed = seed;
    this.#random = seeded(seed);
    this.#onInput = onInput;
  }

  get corpusSize(): number {
    return this.#corpus.length;
  }

  /** Loads the inputs to begin with. */
  async start(): Promise<void> {
    this.#corpus = [...(await this.target.seeds(this.#seed))];
    if (this.#corpus.length === 0) throw new Error(`${this.target.name} has nothing to begin with`);
    this.#seedsLeft = this.#corpus.length;
  }

  /** Runs inputs until `isOver` says so, asked after each. The first inputs are the seeds as they are. */
  async run(isOver: () => boolean): Promise<void> {
    do await this.#execute(this.#next());
    while (!isOver());
  }

  #next(): Input {
    if (this.#seedsLeft > 0) return this.#corpus[--this.#seedsLeft] ?? [];
    const random = this.#random;
    const input = this.#corpus[Math.floor(random() * this.#corpus.length)] ?? [];
    const other = this.#corpus[Math.floor(random() * this.#corpus.length)] ?? [];
    const own = this.target.mutate;
    if (own === undefined || random() < 0.4) return mutate(input, other, this.target.dictionary, random);
    const segments = [...input];
    for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) own(segments, random);
    return segments;
  }

  async #execute(input: Input): Promise<void> {
    this.executions++;
    this.#onInput(this.target.name, input);
    const startedAtMs = performance.now();
    let reached: readonly string[] = [];
    try {
      reached = await this.target.run(input);
    } catch (error) {
      this.#found(input, problemOf(error));
    }
    const tookMs = performance.now() - startedAtMs;
    this.spentMs += tookMs;
    if (tookMs > (this.target.slowMs ?? SLOW_MS)) this.#found(input, `took ${Math.round(tookMs)} ms`);
    if (this.executions % MEMORY_CHECK_EXECUTIONS === 0 && memoryInUse() > MEMORY_MAX_BYTES) {
      collectGarbage();
      if (memoryInUse() > MEMORY_MAX_BYTES)
        this.#found(input, `more than ${MEMORY_MAX_BYTES >> 20} MiB are in use`);
    }
    let isNew = false;
    for (const feature of new Set(reached)) {
      const count = this.features.get(feature) ?? 0;
      this.features.set(feature, count + 1);
      if (count === 0) isNew = true;
    }
    if (isNew) this.#keep(input);
  }

  #keep(input: Input): void {
    const bytes = input.reduce((sum, segment) => sum + segment.length, 0);
    if (this.#corpus.length >= CORPUS_MAX || this.#corpusBytes + bytes > CORPUS_MAX_BYTES) return;
    this.#corpusBytes += bytes;
    this.#corpus.push(input.map(copyOf));
  }

  /** The same problem is told once, by its first input. */
  #found(input: Input, problem: string): void {
    const [text = "", where = ""] = problem.split(/\n +at /);
    const kind = `${text.replace(/"[^"]*"|'[^']*'|\d+/g, "x").slice(0, 300)} ${where}`;
    if (this.#problems.has(kind)) return;
    this.#problems.add(kind);
    this.findings.push({ target: this.target.name, input, problem });
  }
}

function copyOf(segment: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(segment.length);
  segment.copy(copy);
  return copy;
}

function memoryInUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

setFlagsFromString("--expose-gc");
// The context is made with what the flag exposes: a function without arguments.
const collectGarbage = runInNewContext("gc") as () => void;

export function problemOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
