import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { pinned } from "./cpu.ts";

/** A process of the bench that told where it listens. */
export interface Child<T> {
  readonly pid: number;
  readonly ports: T;
  stop(): void;
}

/** Starts a file of the bench on a core and reads the JSON of its first line. */
export async function startChild<T>(file: string, args: readonly string[], core: string): Promise<Child<T>> {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const [command = process.execPath, ...rest] = [
    ...pinned(core),
    process.execPath,
    "--no-warnings",
    path,
    ...args,
  ];
  const child: ChildProcess = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout === null || child.pid === undefined) throw new Error(`${file} did not start`);
  for await (const line of createInterface({ input: child.stdout })) {
    // The child is ours: its first line is what its header comment promises.
    return { pid: child.pid, ports: JSON.parse(line) as T, stop: () => void child.kill("SIGKILL") };
  }
  throw new Error(`${file} ended before it listened`);
}
