import { spawn, type ChildProcess } from "node:child_process";

/** How long a program may take to end after SIGTERM before it is killed. */
const STOP_GRACE_MS = 5000;

/** What a program that has ended left behind. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program under test that runs in the background, with all that it has said. */
export class Child {
  readonly name: string;
  readonly ended: Promise<Ended>;
  readonly #process: ChildProcess;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #end: Ended | undefined;
  readonly #onOutput = new Set<() => void>();

  constructor(name: string, argv: readonly string[], env: Readonly<Record<string, string>>) {
    this.name = name;
    const [program = "", ...args] = argv;
    this.#process = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#process.stdout?.on("data", (chunk: Buffer) => this.#hear(this.#stdout, chunk));
    this.#process.stderr?.on("data", (chunk: Buffer) => this.#hear(this.#stderr, chunk));
    // A program that is gone cannot be told to end by closing its input, and need not be.
    this.#process.stdin?.on("error", () => {});
    const { promise, resolve } = Promise.withResolvers<Ended>();
    this.ended = promise;
    const end = (ended: Ended): void => {
      this.#end ??= ended;
      resolve(this.#end);
      for (const wake of this.#onOutput) wake();
    };
    this.#process.on("error", (error) => {
      this.#stderr.push(Buffer.from(`${error.message}\n`));
      end({ code: null, signal: null });
    });
    this.#process.on("close", (code, signal) => end({ code, signal }));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#end === undefined;
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  /** Everything said so far, for a person who looks for the cause of a failure. */
  get output(): string {
    return `${this.stdout.toString()}${Buffer.concat(this.#stderr).toString()}`;
  }

  /** Waits until the program has said something that matches. Throws, with all it said, if it ends or is silent for too long. */
  async said(pattern: RegExp, withinMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, withinMs);
    const look = (): void => {
      if (pattern.test(this.output) || !this.isRunning) resolve();
    };
    this.#onOutput.add(look);
    look();
    await promise;
    clearTimeout(timer);
    this.#onOutput.delete(look);
    if (!pattern.test(this.output)) {
      throw new Error(`${this.name} did not say ${String(pattern)}, but:\n${this.output}`);
    }
  }

  closeInput(): void {
    this.#process.stdin?.end();
  }

  kill(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#process.kill(signal);
  }

  /** Asks it to end, insists after a while, and returns how it ended. */
  async stop(): Promise<Ended> {
    this.kill("SIGTERM");
    const insist = setTimeout(() => this.kill("SIGKILL"), STOP_GRACE_MS);
    const ended = await this.ended;
    clearTimeout(insist);
    return ended;
  }

  #hear(into: Buffer[], chunk: Buffer): void {
    into.push(chunk);
    for (const wake of this.#onOutput) wake();
  }
}
