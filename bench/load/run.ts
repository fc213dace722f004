import { createHistogram } from "node:perf_hooks";
import { cpuMicros } from "../harness/cpu.ts";
import { close, connectTo } from "./kernel.ts";
import { openLane, type Lane, type LaneOwner } from "./lane.ts";
import type { LoadResult, LoadSpec } from "./load-spec.ts";
import type { Poller } from "./poller.ts";

/** Loads a port, from connecting to the last answer that counts. Blocks the process: nothing else may disturb it. */
export function runLoad(poller: Poller, spec: LoadSpec): LoadResult {
  const run = new Run(poller, spec);
  try {
    return run.run();
  } finally {
    run.close();
  }
}

/** Microseconds in three digits at any scale. */
function latencyHistogram() {
  return createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
}

class Run implements LaneOwner {
  readonly #poller: Poller;
  readonly #spec: LoadSpec;
  readonly #lanes: Lane[] = [];
  readonly #idle: number[] = [];
  readonly #latency = latencyHistogram();
  #requests = 0;
  #errors = 0;
  #measuring = false;
  #nextLane = 0;

  constructor(poller: Poller, spec: LoadSpec) {
    this.#poller = poller;
    this.#spec = spec;
    for (let i = 0; i < (spec.idleConnections ?? 0); i++) this.#idle.push(connectTo(spec.port));
    for (let i = 0; i < spec.connections; i++) this.#lanes.push(openLane(poller, spec, this));
  }

  run(): LoadResult {
    const { ratePerSecond, warmUpSeconds, seconds, streams } = this.#spec;
    const startedAtMs = performance.now();
    if (ratePerSecond === undefined) {
      for (const lane of this.#lanes) {
        for (let i = 0; i < streams; i++) lane.send(startedAtMs);
      }
    }
    for (const lane of this.#lanes) lane.flush();
    const warmAtMs = startedAtMs + warmUpSeconds * 1000;
    this.#turnUntil(warmAtMs, new Arrivals(startedAtMs, ratePerSecond));
    this.#measuring = true;
    const before = this.#counters();
    const measuredFromMs = performance.now();
    const busyMs = this.#turnUntil(
      measuredFromMs + seconds * 1000,
      new Arrivals(measuredFromMs, ratePerSecond),
    );
    const measuredMs = performance.now() - measuredFromMs;
    this.#measuring = false;
    const after = this.#counters();
    const cpu = Object.entries(after.cpu).map(([name, micros]) => [name, micros - (before.cpu[name] ?? 0)]);
    const histogram = this.#latency;
    return {
      requests: this.#requests,
      errors: this.#errors,
      seconds: measuredMs / 1000,
      latency: {
        p50: histogram.percentile(50),
        p90: histogram.percentile(90),
        p99: histogram.percentile(99),
        p999: histogram.percentile(99.9),
        max: histogram.max,
      },
      bodyBytes: after.bodyBytes - before.bodyBytes,
      backgroundBytes: after.backgroundBytes - before.backgroundBytes,
      cpuMicros: Object.fromEntries(cpu),
      loadBusy: busyMs / measuredMs,
    };
  }

  onAnswer(lane: Lane, intendedAtMs: number, ok: boolean): void {
    const now = performance.now();
    if (this.#measuring) {
      this.#requests++;
      if (!ok) this.#errors++;
      this.#latency.record(Math.max(1, Math.round((now - intendedAtMs) * 1000)));
    }
    if (this.#spec.ratePerSecond === undefined) lane.send(now);
  }

  onLaneLost(): void {
    this.#errors++;
    if (this.#lanes.every((lane) => lane.closed)) {
      throw new Error(`every connection to port ${this.#spec.port} broke after ${this.#requests} requests`);
    }
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
    for (const fd of this.#idle) close(fd);
  }

  /** @returns milliseconds in which there was something to do. */
  #turnUntil(untilMs: number, arrivals: Arrivals): number {
    let busyMs = 0;
    let now = performance.now();
    while (now < untilMs) {
      let worked = false;
      for (let due = arrivals.next(now); due !== undefined; due = arrivals.next(now)) {
        const lane = this.#openLane();
        lane.send(due);
        lane.flush();
        worked = true;
      }
      worked = this.#poller.poll() > 0 || worked;
      const then = now;
      now = performance.now();
      if (worked) busyMs += now - then;
    }
    return busyMs;
  }

  #openLane(): Lane {
    for (;;) {
      const lane = this.#lanes[this.#nextLane++ % this.#lanes.length];
      if (lane !== undefined && !lane.closed) return lane;
    }
  }

  #counters() {
    let bodyBytes = 0;
    let backgroundBytes = 0;
    for (const lane of this.#lanes) {
      bodyBytes += lane.bodyBytes;
      backgroundBytes += lane.backgroundBytes;
    }
    const cpu: Record<string, number> = {};
    for (const [name, pids] of Object.entries(this.#spec.processes)) {
      cpu[name] = pids.reduce((sum, pid) => sum + cpuMicros(pid), 0);
    }
    return { bodyBytes, backgroundBytes, cpu };
  }
}

/** Arrivals of a Poisson process: independent of each other, as those of many clients are. */
class Arrivals {
  readonly #meanMs: number;
  #nextMs: number;

  constructor(fromMs: number, ratePerSecond: number | undefined) {
    this.#meanMs = ratePerSecond === undefined ? Infinity : 1000 / ratePerSecond;
    this.#nextMs = fromMs + this.#gap();
  }

  /** When the next one was due, if that is not after `now`. */
  next(now: number): number | undefined {
    const due = this.#nextMs;
    if (due > now) return undefined;
    this.#nextMs = due + this.#gap();
    return due;
  }

  #gap(): number {
    return -Math.log(1 - Math.random()) * this.#meanMs;
  }
}
