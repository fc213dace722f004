import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { endTogether } from "../../test/support/end-together.ts";
import { LOAD_CORE, pinned } from "../harness/cpu.ts";
import type { LoadReply } from "./load-messages.ts";

/** A process on the load's core that answers requests, one at a time. */
export class LoadChild {
  readonly #child: ChildProcess;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param file a module of this folder; it answers each message with a `LoadReply`. */
  constructor(file: string) {
    const [execPath, ...execArgv] = [...pinned(LOAD_CORE), process.execPath, "--no-warnings"] as const;
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), [], { execPath, execArgv });
    endTogether(this.#child);
  }

  /** What it says next, without being asked. */
  async message(): Promise<unknown> {
    const gone = new AbortController();
    const onExit = (): void => gone.abort();
    this.#child.once("exit", onExit);
    try {
      if (!this.#child.connected) gone.abort();
      const [message] = (await once(this.#child, "message", { signal: gone.signal })) as [unknown];
      return message;
    } catch (error) {
      throw gone.signal.aborted ? new Error("the load process ended", { cause: error }) : error;
    } finally {
      this.#child.off("exit", onExit);
    }
  }

  /** @returns its answer, of the type that the request says. @throws Error with the problem it had, or if it ends. */
  async ask(request: object): Promise<unknown> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      const reply = this.message();
      if (this.#child.connected) this.#child.send(request);
      // It is ours: what it says is what load-messages.ts says.
      const answered = (await reply) as LoadReply;
      if ("problem" in answered) throw new Error(answered.problem);
      return answered.answer;
    } finally {
      resolve();
    }
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }
}
