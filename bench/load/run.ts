import { CONNECT_BATCH, untilAccepted } from "./accept-queue.ts";
import { cpuMicrosOf, cpuMicrosSince } from "./cpu-counters.ts";
import type { Lane, LaneOwner } from "./lane.ts";
import { LatencyRecord } from "./latency.ts";
import { LoadRecord, type Measured } from "./load-record.ts";
import { Stalls } from "./stalls.ts";
import type { TailWindows } from "./tail-windows.ts";
import type { LoadResult, LoadSpec } from "./load-spec.ts";
import { openLane } from "./open-lane.ts";
import type { Poller } from "./poller.ts";

/**
 * Loads ports, from connecting to the last answer that counts, and remembers what was measured on each. Blocks the process:
 * nothing else may disturb it.
 */
export class LoadRunner {
  readonly #poller: Poller;
  /** By port. */
  readonly #records = new Map<number, LoadRecord>();

  constructor(poller: Poller) {
    this.#poller = poller;
  }

  run(spec: LoadSpec): LoadResult {
    const { port } = spec;
    const record = (spec.continues === true ? this.#records.get(port) : undefined) ?? new LoadRecord();
    this.#records.set(port, record);
    const run = new Run(this.#poller, spec, record.windows);
    try {
      run.open();
      record.add(run.run());
    } finally {
      run.close();
    }
    return record.result;
  }
}

class Run implements LaneOwner {
  readonly #poller: Poller;
  readonly #spec: LoadSpec;
  readonly #lanes: Lane[] = [];
  readonly #latency = new LatencyRecord();
  /** In a closed loop latency is what the number of connections makes it. */
  readonly #windows: TailWindows | undefined;
  #requests = 0;
  #errors = 0;
  #measuring = false;
  #nextLane = 0;

  constructor(poller: Poller, spec: LoadSpec, windows: TailWindows) {
    this.#poller = poller;
    this.#spec = spec;
    this.#windows = spec.ratePerSecond === undefined ? undefined : windows;
  }

  /** Fresh connections are not opened before there is something to send on them. */
  open(): void {
    const { port, connections } = this.#spec;
    for (let i = 1; i <= connections; i++) {
      this.#lanes.push(openLane(this.#poller, this.#spec, this));
      if (i % CONNECT_BATCH === 0) untilAccepted(this.#poller, port);
    }
  }

  run(): Measured {
    const { ratePerSecond, warmUpSeconds, seconds } = this.#spec;
    const atOnce = this.#spec.freshConnections === true ? 1 : this.#spec.streams;
    const startedAtMs = performance.now();
    if (ratePerSecond === undefined) {
      for (const lane of this.#lanes) {
        for (let i = 0; i < atOnce; i++) lane.send(startedAtMs);
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
    const milliseconds = performance.now() - measuredFromMs;
    this.#measuring = false;
    const after = this.#counters();
    return {
      requests: this.#requests,
      errors: this.#errors,
      milliseconds,
      busyMilliseconds: busyMs,
      latency: this.#latency,
      bodyBytes: after.bodyBytes - before.bodyBytes,
      backgroundBytes: after.backgroundBytes - before.backgroundBytes,
      cpuMicros: cpuMicrosSince(before.cpu, after.cpu),
    };
  }

  onAnswer(lane: Lane, intendedAtMs: number, ok: boolean): void {
    const now = performance.now();
    if (this.#measuring) {
      this.#requests++;
      if (!ok) this.#errors++;
      this.#latency.record(now - intendedAtMs);
      this.#windows?.record(now - intendedAtMs);
    }
    if (this.#spec.ratePerSecond === undefined) lane.send(now);
  }

  onFault(): void {
    this.#errors++;
  }

  onLaneLost(): void {
    this.#errors++;
    if (this.#lanes.every((lane) => lane.closed)) {
      throw new Error(`every connection to port ${this.#spec.port} broke after ${this.#requests} requests`);
    }
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
  }

  /** @returns milliseconds in which there was something to do. */
  #turnUntil(untilMs: number, arrivals: Arrivals): number {
    let busyMs = 0;
    let now = performance.now();
    const stalls = this.#windows === undefined ? undefined : new Stalls(now);
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
      const stretch = stalls?.look(now);
      if (stretch !== undefined) this.#windows?.endStretch(stretch === "stalled");
    }
    // Cut short: nobody knows about it.
    this.#windows?.endStretch(true);
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
    return { bodyBytes, backgroundBytes, cpu: cpuMicrosOf(this.#spec.processes) };
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
