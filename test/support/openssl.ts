import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why tests that need the `openssl` binary are skipped; false where it is there. */
export const OPENSSL_MISSING: string | false =
  spawnSync("openssl", ["version"]).status === 0 ? false : "no openssl binary on PATH";

/** A directory of files for one test, removed at its end. */
export class ScratchDir {
  readonly path = mkdtempSync(join(tmpdir(), "outrigger-"));

  write(name: string, content: string | Buffer): string {
    const path = join(this.path, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  read(name: string): Buffer {
    return readFileSync(join(this.path, name));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Runs `openssl` to its end. */
export function runOpenssl(args: readonly string[]): {
  readonly status: number | null;
  readonly output: string;
} {
  const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  return { status, output: stdout + stderr };
}

/** `openssl` as a running peer whose output can be waited for. */
export class OpensslPeer {
  output = "";
  readonly #child: ChildProcessWithoutNullStreams;
  #isOver = false;
  #check: () => void = () => {};

  constructor(args: readonly string[]) {
    this.#child = spawn("openssl", args);
    const take = (chunk: Buffer): void => {
      this.output += chunk.toString("latin1");
      this.#check();
    };
    this.#child.stdout.on("data", take);
    this.#child.stderr.on("data", take);
    // It may end before it has read what we write.
    this.#child.stdin.on("error", () => {});
    this.#child.once("close", () => {
      this.#isOver = true;
      this.#check();
    });
  }

  write(text: string): void {
    this.#child.stdin.write(text);
  }

  writeBytes(bytes: Buffer): void {
    this.#child.stdin.write(bytes);
  }

  /** Resolves with the match once the output has it; rejects if the process ends first. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      this.#check = () => {
        const match = pattern.exec(this.output);
        if (match !== null) resolve(match);
        else if (this.#isOver) reject(new Error(`openssl ended without ${pattern}: ${this.output}`));
      };
      this.#check();
    });
  }

  ended(): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (this.#isOver) resolve();
      };
      this.#check();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.ended();
  }
}
