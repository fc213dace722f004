import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { RequestResult } from "../../src/cli/demo/judge.ts";
import type { MeshPorts } from "../../src/cli/demo/mesh.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

/** What `--json` prints. */
export interface Summary {
  readonly ok: boolean;
  readonly requests: readonly RequestResult[];
  /** Only while it stays up. */
  readonly manifests?: string;
  readonly ports?: MeshPorts;
}

export function readSummary(line: string): Summary {
  return JSON.parse(line) as Summary;
}

export type Demo = ReturnType<typeof startDemo>;

/** `outrigger demo` as a user runs it. Whoever starts it also stops it. */
export function startDemo(args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, "demo", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    exited,
    output: () => output,
    errors: () => errors,
    /** The next line of standard output. @throws if there is none any more. */
    line: async (): Promise<string> => {
      const next = await lines.next();
      if (next.done === true) throw new Error(`the demo ended: ${errors}`);
      return next.value;
    },
    signal: (name: NodeJS.Signals) => void child.kill(name),
    /** Resolves when it is gone, which it may have been before. */
    stop: async (): Promise<void> => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
