import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { LOAD_CORE, pinned } from "../harness/cpu.ts";
import type { ApplicationPorts, LoadResult, LoadSpec } from "./load-spec.ts";

type Answer = { readonly result: LoadResult } | { readonly problem: string };

/** The process that serves and asks, on a core of its own. */
export class LoadProcess {
  readonly ports: ApplicationPorts;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: ApplicationPorts) {
    this.#child = child;
    this.ports = ports;
  }

  static async start(): Promise<LoadProcess> {
    const [execPath, ...execArgv] = [...pinned(LOAD_CORE), process.execPath, "--no-warnings"] as const;
    const child = fork(fileURLToPath(new URL("main.ts", import.meta.url)), [], { execPath, execArgv });
    // The child is ours: its first message is what load-spec.ts says.
    const [ports] = (await messageOf(child)) as [ApplicationPorts];
    return new LoadProcess(child, ports);
  }

  /** @throws Error if nobody listens, or if not one connection survived. */
  async run(spec: LoadSpec): Promise<LoadResult> {
    this.#child.send(spec);
    const [answer] = (await messageOf(this.#child)) as [Answer];
    if ("problem" in answer) throw new Error(answer.problem);
    return answer.result;
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }
}

async function messageOf(child: ChildProcess): Promise<unknown[]> {
  const gone = new AbortController();
  const onExit = (): void => gone.abort(new Error("the load process ended"));
  child.once("exit", onExit);
  try {
    return await once(child, "message", { signal: gone.signal });
  } finally {
    child.off("exit", onExit);
  }
}
