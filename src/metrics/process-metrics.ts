import { readdirSync, readFileSync } from "node:fs";
import { wallMs, type Clock } from "../time/clock.ts";
import type { Labels } from "./registry.ts";
import type { MetricRegistry } from "./metric-registry.ts";

const NONE: Labels = [];

/** What `/proc/self/stat` tells that Node does not. */
export interface ProcStat {
  readonly threads: number;
  readonly virtualBytes: number;
}

/** Reads fields 20 and 23 of proc(5) stat; the command name in parentheses may hold blanks and parentheses itself. */
export function parseProcStat(text: string): ProcStat | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // Field 3 is the first behind the name.
  const threads = Number(fields[20 - 3]);
  const virtualBytes = Number(fields[23 - 3]);
  return Number.isFinite(threads) && Number.isFinite(virtualBytes) ? { threads, virtualBytes } : undefined;
}

/** The soft limit of open files in `/proc/self/limits`; 0 where it is unlimited, undefined where it is not told. */
export function parseOpenFilesLimit(text: string): number | undefined {
  const match = /^Max open files\s+(\d+|unlimited)/m.exec(text);
  if (match === null) return undefined;
  return match[1] === "unlimited" ? 0 : Number(match[1]);
}

/** `InOctets` and `OutOctets` of the `IpExt` lines of `/proc/self/net/netstat`: a line of names and a line of values. */
export function parseNetstat(text: string): { readonly received: number; readonly sent: number } | undefined {
  const [names, values] = text
    .split("\n")
    .filter((line) => line.startsWith("IpExt:"))
    .map((line) => line.split(" "));
  const received = Number(values?.[names?.indexOf("InOctets") ?? -1]);
  const sent = Number(values?.[names?.indexOf("OutOctets") ?? -1]);
  return Number.isFinite(received) && Number.isFinite(sent) ? { received, sent } : undefined;
}

/**
 * Registers the `process_*` families and reads their values before each scrape. Where there is no `/proc` the families that
 * need it stay empty.
 *
 * Source: kubert-prometheus-process.
 */
export function registerProcessMetrics(registry: MetricRegistry, clock: Clock): void {
  const seconds = { unit: "seconds", float: true } as const;
  const bytes = { unit: "bytes" } as const;
  const startTime = registry.gauge(
    "open",
    "process_start_time_seconds",
    "When the process started, in Unix seconds",
    seconds,
  );
  const clockTime = registry.gauge("open", "process_clock_time_seconds", "The time of now, in Unix seconds", {
    unit: "seconds",
  });
  const uptime = registry.counter(
    "open",
    "process_uptime_seconds_total",
    "Time since the process started",
    seconds,
  );
  const cpu = registry.counter(
    "open",
    "process_cpu_seconds_total",
    "User and system CPU time spent",
    seconds,
  );
  const virtual = registry.gauge("open", "process_virtual_memory_bytes", "Size of virtual memory", bytes);
  const resident = registry.gauge("open", "process_resident_memory_bytes", "Size of resident memory", bytes);
  const openFds = registry.gauge("open", "process_open_fds", "Open file descriptors");
  const maxFds = registry.gauge("open", "process_max_fds", "Open file descriptors allowed, 0 for no limit");
  const threads = registry.gauge("open", "process_threads", "Threads of the operating system");
  const received = registry.counter(
    "open",
    "process_network_receive_bytes_total",
    "Bytes received in this network namespace",
    bytes,
  );
  const sent = registry.counter(
    "open",
    "process_network_transmit_bytes_total",
    "Bytes sent in this network namespace",
    bytes,
  );
  // The clock counts from the start of the process.
  startTime.cell(NONE).value = (wallMs() - clock.nowMs()) / 1000;

  registry.beforeScrape(() => {
    clockTime.cell(NONE).value = Math.floor(wallMs() / 1000);
    uptime.cell(NONE).value = clock.nowMs() / 1000;
    const { user, system } = process.cpuUsage();
    cpu.cell(NONE).value = (user + system) / 1_000_000;
    resident.cell(NONE).value = process.memoryUsage.rss();
    const stat = parsedFile("/proc/self/stat", parseProcStat);
    if (stat !== undefined) {
      virtual.cell(NONE).value = stat.virtualBytes;
      threads.cell(NONE).value = stat.threads;
    }
    const limit = parsedFile("/proc/self/limits", parseOpenFilesLimit);
    if (limit !== undefined) maxFds.cell(NONE).value = limit;
    const open = countEntries("/proc/self/fd");
    // Listing the directory opens one more.
    if (open !== undefined) openFds.cell(NONE).value = open - 1;
    const net = parsedFile("/proc/self/net/netstat", parseNetstat);
    if (net !== undefined) {
      received.cell(NONE).value = net.received;
      sent.cell(NONE).value = net.sent;
    }
  });
}

function parsedFile<T>(path: string, parse: (text: string) => T | undefined): T | undefined {
  try {
    return parse(readFileSync(path, "latin1"));
  } catch {
    // No /proc here, or not for us: the family stays empty.
    return undefined;
  }
}

function countEntries(path: string): number | undefined {
  try {
    return readdirSync(path).length;
  } catch {
    return undefined;
  }
}
