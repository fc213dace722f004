import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const children = new Set<ChildProcess>();

/**
 * Ties a child to this process: when this one ends, also by a signal to it alone, the child and its own children are
 * killed. Nobody should find proxies running that were started for something long over.
 */
export function endTogether(child: ChildProcess): void {
  if (children.size === 0) {
    process.on("exit", killAll);
    for (const signal of SIGNALS) process.on(signal, endBySignal);
  }
  children.add(child);
  child.once("exit", () => {
    children.delete(child);
    if (children.size > 0) return;
    process.off("exit", killAll);
    for (const signal of SIGNALS) process.off(signal, endBySignal);
  });
}

/** The processes that a process has started and that still run; empty where the system does not tell. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .trim()
      .split(" ")
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

function killAll(): void {
  for (const child of children) {
    for (const pid of child.pid === undefined ? [] : childrenOf(child.pid)) kill(pid);
    child.kill("SIGKILL");
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended in the meantime.
  }
}

/** As the shell counts a process that a signal ended. */
function endBySignal(signal: (typeof SIGNALS)[number]): void {
  process.exit(128 + constants.signals[signal]);
}
