import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { pathToFileURL } from "node:url";
import { systemClock } from "../../time/clock.ts";
import { INHERITED } from "../inherited-environment.ts";
import { PROXY_RUNTIME_FLAGS } from "../runtime-flags.ts";

export interface ProcessOptions {
  /** Names its log file and is what messages call it. */
  readonly name: string;
  /** A TypeScript file, and what follows it on the command line. */
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /**
   * "lines": standard input and output are ours, and the program ends when its input does. "log": output goes to the log
   * file, and the program, which knows nothing of us, is made to end so.
   */
  readonly talk: "lines" | "log";
}

/** `--import` takes URLs. */
const END_WITH_DEMO = pathToFileURL(join(import.meta.dirname, "end-with-demo.ts")).href;

/** The work of a process here is done in milliseconds. */
const STOP_TIMEOUT_MS = 3_000;

/** A process of the demo, running this same Node. */
export class DemoProcess {
  readonly name: string;
  readonly logFile: string;
  /** Rejects when the process ends before `stop()`; never resolves. */
  readonly ended: Promise<never>;
  readonly #child: ChildProcess;
  readonly #stopTimeoutMs: number;
  readonly #exited: Promise<unknown>;
  readonly #lines: AsyncIterator<string> | undefined;
  readonly #reader: Interface | undefined;
  #stopping = false;

  constructor(
    { name, args, environment, talk }: ProcessOptions,
    logDirectory: string,
    stopTimeoutMs: number,
  ) {
    this.name = name;
    this.#stopTimeoutMs = stopTimeoutMs;
    this.logFile = join(logDirectory, `${name}.log`);
    const log = openSync(this.logFile, "a", 0o600);
    const preload = talk === "lines" ? [] : ["--import", END_WITH_DEMO];
    this.#child = spawn(process.execPath, [...PROXY_RUNTIME_FLAGS, ...preload, ...args], {
      stdio: ["pipe", talk === "lines" ? "pipe" : log, log],
      env: { ...INHERITED, ...environment },
      // In a process group of its own: Ctrl-C reaches the demo alone, which then ends its processes in good order.
      detached: true,
    });
    closeSync(log);
    this.#exited = once(this.#child, "exit").catch(() => undefined);
    this.ended = new Promise((_, reject) => {
      this.#child.on("error", (error) => reject(new Error(`${name} did not start: ${error.message}`)));
      this.#child.on("exit", (code, signal) => {
        if (this.#stopping) return;
        const how = signal ?? `exit code ${code}`;
        reject(new Error(`${name} ended by itself (${how})${lastWords(this.logFile)}`));
      });
    });
    // Whoever waits for something of it races against `ended`; at other times nobody listens.
    this.ended.catch(() => {});
    if (this.#child.stdout !== null) {
      this.#reader = createInterface({ input: this.#child.stdout });
      this.#lines = this.#reader[Symbol.asyncIterator]();
    }
    this.#child.stdin?.on("error", () => {});
  }

  /** The next line of its output. @throws if the process ends first. */
  async line(): Promise<string> {
    if (this.#lines === undefined) throw new Error(`the output of ${this.name} goes to its log`);
    const next = await Promise.race([this.#lines.next(), this.ended]);
    if (next.done === true) throw new Error(`${this.name} said nothing more`);
    return next.value;
  }

  /** Sends a line to its input. */
  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Asks the process to end, and ends it if it has not after a while. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const timer = systemClock.after(this.#stopTimeoutMs, () => child.kill("SIGKILL"));
    await this.#exited;
    timer.cancel();
    this.#reader?.close();
  }

  /** Ends the process at once. */
  kill(): void {
    this.#stopping = true;
    this.#child.kill("SIGKILL");
  }
}

/** Lines of a log that a message repeats. */
const LAST_WORDS_LINES = 5;

function lastWords(logFile: string): string {
  const lines = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-LAST_WORDS_LINES);
  return lines.join("") === "" ? "" : `:\n  ${lines.join("\n  ")}`;
}

/** The processes of one demo: all of them end when one `stop()` says so, and in any case with the demo's own process. */
export class DemoProcesses {
  readonly #logDirectory: string;
  readonly #stopTimeoutMs: number;
  readonly #running: DemoProcess[] = [];
  readonly #killAll = (): void => {
    for (const one of this.#running) one.kill();
  };

  /** @param stopTimeoutMs how long a process may take to end after SIGTERM. */
  constructor(logDirectory: string, stopTimeoutMs = STOP_TIMEOUT_MS) {
    this.#logDirectory = logDirectory;
    this.#stopTimeoutMs = stopTimeoutMs;
    // For ends that nobody planned: an exception that nobody caught.
    process.once("exit", this.#killAll);
  }

  start(options: ProcessOptions): DemoProcess {
    const started = new DemoProcess(options, this.#logDirectory, this.#stopTimeoutMs);
    this.#running.push(started);
    return started;
  }

  /** Rejects when any process that runs by now ends by itself; never resolves. */
  get ended(): Promise<never> {
    return Promise.race(this.#running.map((one) => one.ended));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map((one) => one.stop()));
    process.off("exit", this.#killAll);
  }
}
