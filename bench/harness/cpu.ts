import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Processor time that a process has used so far, all threads together, in microseconds. From the scheduler's own accounting. */
export function cpuMicros(pid: number): number {
  let nanos = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    // The first number is time on a processor, in nanoseconds (Linux, Documentation/scheduler/sched-stats).
    nanos += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
  }
  return nanos / 1000;
}

/** Resident memory in MiB. */
export function rssMiB(pid: number): number {
  return statusMiB(pid, /^VmRSS:\s+(\d+) kB/m);
}

/** The most resident memory that the process ever had, in MiB. */
export function peakMiB(pid: number): number {
  return statusMiB(pid, /^VmHWM:\s+(\d+) kB/m);
}

function statusMiB(pid: number, line: RegExp): number {
  return Number(line.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
}

/** Looked up once, before this process is moved: afterwards it would see one core only. */
const pinning = findPinning();

function findPinning(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    execFileSync("taskset", ["-p", String(process.pid)], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Whether processes can be kept on one core each, so that what is measured does not compete with what measures. */
export function canPin(): boolean {
  return pinning;
}

/** Proxies share the first core; applications and load generators the second. */
export const PROXY_CORE = "0";
export const LOAD_CORE = "1";

export function pinned(core: string): readonly string[] {
  return canPin() ? ["taskset", "-c", core] : [];
}
