import { cpuMicros } from "../harness/cpu.ts";
import type { LoadSpec } from "./load-spec.ts";

type Micros = Readonly<Record<string, number>>;

/** Processor time that processes have used so far, in microseconds, by the name of their group. */
export function cpuMicrosOf(processes: LoadSpec["processes"]): Micros {
  const sums = Object.entries(processes).map(([name, pids]) => [
    name,
    pids.reduce((sum, pid) => sum + cpuMicros(pid), 0),
  ]);
  return Object.fromEntries(sums);
}

/** What they have used in between. */
export function cpuMicrosSince(before: Micros, after: Micros): Micros {
  return Object.fromEntries(
    Object.entries(after).map(([name, micros]) => [name, micros - (before[name] ?? 0)]),
  );
}
