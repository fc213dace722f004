import { readFileSync, writeFileSync } from "node:fs";

/** Resident memory of a process: now, and the most since its start or since `forgetPeak`, in MiB. Linux, proc(5). */
export function memoryMiB(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (name: string): number => {
    const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status) ?? [];
    if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
    return Number(kib) / 1024;
  };
  return { now: read("VmRSS"), peak: read("VmHWM") };
}

/** Starts the peak anew. Where the kernel refuses, it stays that of the whole life, which only makes a limit on it harder. */
export function forgetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch {
    // See above.
  }
}
