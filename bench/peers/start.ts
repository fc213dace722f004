import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { accepts } from "../../test/support/accepts.ts";
import { childrenOf, endTogether } from "../../test/support/end-together.ts";
import { pinned, PROXY_CORE } from "../harness/cpu.ts";
import { isExecutableFile } from "./given-program.ts";
import type { StartedPeer } from "./peer.ts";

const START_TIMEOUT_MS = 10_000;
/** Also how exactly the time until a proxy listens is known. */
const POLL_MS = 5;

/** Where a program is, on PATH or in the places of Debian's servers; undefined if nowhere. */
export function findProgram(name: string): string | undefined {
  const dirs = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return dirs.map((dir) => join(dir, name)).find(isExecutableFile);
}

/** A proxy process on the proxies' core. */
export interface ProxyProcess {
  readonly pid: number;
  /** From its start until it listened. */
  readonly readyMs: number;
  /** The process and its children, as they are now. */
  pids(): readonly number[];
  stop(): Promise<void>;
}

/** Starts a command on the proxies' core and waits until it listens on `port`. */
export async function startProxy(command: readonly string[], port: number): Promise<ProxyProcess> {
  const [program = "", ...args] = [...pinned(PROXY_CORE), ...command];
  const startedAtMs = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  endTogether(child);
  let printed = "";
  const keep = (chunk: Buffer): void => void (printed = (printed + chunk.toString("utf8")).slice(-4000));
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let ended = false;
  void gone.then(() => (ended = true));
  child.once("error", (error) => {
    printed += error.message;
    ended = true;
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (ended || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${command.join(" ")}: ${ended ? "ended" : "does not listen"}\n${printed}`);
    }
    await pause(POLL_MS);
  }
  const pid = child.pid ?? 0;
  return {
    pid,
    readyMs: performance.now() - startedAtMs,
    pids: () => [pid, ...childrenOf(pid)],
    async stop() {
      for (const one of childrenOf(pid)) process.kill(one, "SIGKILL");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** One proxy at work. */
export function hopOf(port: number, proxy: ProxyProcess): StartedPeer {
  const { readyMs } = proxy;
  return { port, proxies: { proxy: proxy.pids() }, readyMs, stop: () => proxy.stop() };
}

/** Two of them, of which neither stays if the other does not start. `port` is that of the outbound one. */
export async function pairOf(
  port: number,
  inbound: ProxyProcess,
  starting: Promise<ProxyProcess>,
): Promise<StartedPeer> {
  try {
    const outbound = await starting;
    return {
      port,
      proxies: { outbound: outbound.pids(), inbound: inbound.pids() },
      readyMs: inbound.readyMs + outbound.readyMs,
      async stop() {
        await outbound.stop();
        await inbound.stop();
      },
    };
  } catch (error) {
    await inbound.stop();
    throw error;
  }
}
