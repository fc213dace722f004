import { watch, type FSWatcher } from "node:fs";
import type { Log } from "../../log/log.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import { WatchCell, type Watch } from "../../watch/watch.ts";
import { formatProblem } from "./problem.ts";
import { fingerprintOf, readFolder, readResources, type FolderText } from "./read-folder.ts";
import type { ResourceSet } from "./resource-set.ts";

/** Quiet time after a change before the folder is read: one save of an editor is several events. */
export const SETTLE_MS = 100;

/** Changes that never end are read all the same, so many times the quiet time after the first of them. */
const LONGEST_SETTLE = 4;

/** The folder is also looked at this often, because not every file system announces changes. */
const POLL_MS = 500;

/** Problems of one attempt that are logged; more would bury the first ones. */
const LOGGED_PROBLEMS_MAX = 200;

/**
 * Keeps the resources of a folder at hand. A change is taken as a whole or not at all: if any file is broken, every
 * problem is logged once and the last good set stays.
 */
export class FolderWatcher {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #cell: WatchCell<ResourceSet>;
  readonly #watcher: FSWatcher | undefined;
  readonly #settleMs: number;
  #seen: FolderText;
  #fingerprint: string;
  /** When the first change of those not read yet was announced. */
  #changedAtMs: number | undefined;
  #timer: Timer | undefined;
  #reading: Promise<void> | undefined;
  #lastFailure = "";
  #closed = false;

  private constructor(
    folder: string,
    seen: FolderRead,
    initial: ResourceSet,
    clock: Clock,
    log: Log,
    settleMs: number,
  ) {
    this.#folder = folder;
    this.#settleMs = settleMs;
    this.#seen = seen.contents;
    this.#fingerprint = seen.fingerprint;
    this.#clock = clock;
    this.#log = log;
    this.#cell = new WatchCell(initial);
    this.#watcher = this.#listen();
    this.#schedule(POLL_MS);
  }

  /**
   * Reads the folder once.
   *
   * @param settleMs quiet time after a change before the folder is read again.
   * @throws ManifestError with every problem, if there is no good state to begin with.
   */
  static async start(
    folder: string,
    clock: Clock,
    log: Log,
    settleMs: number = SETTLE_MS,
  ): Promise<FolderWatcher> {
    const { contents, fingerprint } = await firstRead(folder);
    const state = readResources(contents, folder);
    if (!state.ok) throw new ManifestError(state.problems.map(formatProblem));
    for (const warning of state.warnings) log.warn(formatProblem(warning));
    return new FolderWatcher(folder, { contents, fingerprint }, state.resources, clock, log, settleMs);
  }

  get resources(): Watch<ResourceSet> {
    return this.#cell;
  }

  /** Stops watching; resolves when no read is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    this.#timer?.cancel();
    await this.#reading;
  }

  #listen(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#folder, { recursive: true, persistent: false }, () => this.#onChange());
      watcher.on("error", (error) =>
        this.#log.debug(`changes of ${this.#folder} are polled: ${error.message}`),
      );
      return watcher;
    } catch (error) {
      this.#log.debug(`changes of ${this.#folder} are polled: ${String(error)}`);
      return undefined;
    }
  }

  #onChange(): void {
    const nowMs = this.#clock.nowMs();
    this.#changedAtMs ??= nowMs;
    const latestMs = this.#changedAtMs + LONGEST_SETTLE * this.#settleMs - nowMs;
    this.#schedule(Math.max(0, Math.min(this.#settleMs, latestMs)));
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(delayMs, () => this.#startReading());
  }

  #startReading(): void {
    // A change announced during a read is seen by the poll that follows it.
    if (this.#reading !== undefined) return;
    const changed = this.#changedAtMs !== undefined;
    this.#changedAtMs = undefined;
    this.#reading = this.#read(changed).finally(() => {
      this.#reading = undefined;
      this.#schedule(this.#changedAtMs === undefined ? POLL_MS : this.#settleMs);
    });
  }

  async #read(changed: boolean): Promise<void> {
    let contents: FolderText;
    try {
      // Taken first: whatever changes while the files are read makes the next poll read again.
      const fingerprint = await fingerprintOf(this.#folder);
      if (!changed && fingerprint === this.#fingerprint) return;
      contents = await readFolder(this.#folder);
      this.#fingerprint = fingerprint;
    } catch (error) {
      return this.#fail([unreadable(this.#folder, error)]);
    }
    if (this.#closed || sameText(contents, this.#seen)) return;
    this.#seen = contents;
    const state = readResources(contents, this.#folder);
    if (!state.ok) return this.#fail(state.problems.map(formatProblem));
    this.#lastFailure = "";
    for (const warning of state.warnings) this.#log.warn(formatProblem(warning));
    this.#log.info("Resources reloaded", { resources: state.resources.all.length });
    this.#cell.publish(state.resources);
  }

  /** Logs each problem, once per state of the folder, however often it is polled. */
  #fail(problems: readonly string[]): void {
    const failure = problems.join("\n");
    if (failure === this.#lastFailure) return;
    this.#lastFailure = failure;
    for (const problem of problems.slice(0, LOGGED_PROBLEMS_MAX)) this.#log.error(problem);
    this.#log.error("Resources refused; the last good state stays in force", { problems: problems.length });
  }
}

/** Manifests that cannot be used; `problems` has one line each. */
export class ManifestError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the manifests cannot be used:\n${problems.join("\n")}`);
    this.name = "ManifestError";
    this.problems = problems;
  }
}

async function firstRead(folder: string): Promise<FolderRead> {
  try {
    const fingerprint = await fingerprintOf(folder);
    return { fingerprint, contents: await readFolder(folder) };
  } catch (error) {
    throw new ManifestError([unreadable(folder, error)]);
  }
}

function unreadable(folder: string, error: unknown): string {
  return `cannot read ${folder}: ${error instanceof Error ? error.message : String(error)}`;
}

interface FolderRead {
  readonly contents: FolderText;
  readonly fingerprint: string;
}

function sameText(a: FolderText, b: FolderText): boolean {
  if (a.size !== b.size) return false;
  for (const [name, content] of a) {
    const other = b.get(name);
    if (other === undefined || JSON.stringify(content) !== JSON.stringify(other)) return false;
  }
  return true;
}
