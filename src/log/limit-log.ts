import type { Clock } from "../time/clock.ts";
import type { Log, LogFields, LogLevel } from "./log.ts";

/** Lines of one message that may come at once, and then each second (INV-8): more than anybody reads. */
export const LINES_AT_ONCE = 500;
export const LINES_PER_SECOND = 100;

const MS_PER_SECOND = 1000;

/** How many more lines of one message may be written now. */
interface Allowance {
  lines: number;
  atMs: number;
  /** Lines that were not written since the last one that was. */
  suppressed: number;
}

/**
 * A log that strangers cannot flood: of each message of level `info` and `warn` so many lines are written, and the next one
 * tells in `suppressed` how many were not. Messages are words of the source, not of peers, so that there are few.
 *
 * @param unlimited messages of which each line is wanted: whoever audits wants to see every access.
 */
export function limitLog(log: Log, clock: Clock, unlimited: ReadonlySet<string>): Log {
  return new LimitedLog(log, clock, unlimited, new Map());
}

class LimitedLog implements Log {
  readonly #inner: Log;
  readonly #clock: Clock;
  readonly #unlimited: ReadonlySet<string>;
  readonly #allowances: Map<string, Allowance>;

  constructor(inner: Log, clock: Clock, unlimited: ReadonlySet<string>, allowances: Map<string, Allowance>) {
    this.#inner = inner;
    this.#clock = clock;
    this.#unlimited = unlimited;
    this.#allowances = allowances;
  }

  trace(message: string, fields?: LogFields): void {
    this.#inner.trace(message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    this.#inner.debug(message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#write("info", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#write("warn", message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#inner.error(message, fields);
  }
  enabled(level: LogLevel): boolean {
    return this.#inner.enabled(level);
  }
  target(name: string): Log {
    return new LimitedLog(this.#inner.target(name), this.#clock, this.#unlimited, this.#allowances);
  }
  span(name: string, fields?: LogFields): Log {
    return new LimitedLog(this.#inner.span(name, fields), this.#clock, this.#unlimited, this.#allowances);
  }

  #write(level: "info" | "warn", message: string, fields: LogFields | undefined): void {
    if (this.#unlimited.has(message)) return this.#inner[level](message, fields);
    const allowance = this.#allowanceOf(message);
    if (allowance.lines < 1) {
      allowance.suppressed++;
      return;
    }
    allowance.lines--;
    const { suppressed } = allowance;
    allowance.suppressed = 0;
    this.#inner[level](message, suppressed === 0 ? fields : { ...fields, suppressed });
  }

  #allowanceOf(message: string): Allowance {
    const nowMs = this.#clock.nowMs();
    const known = this.#allowances.get(message);
    if (known === undefined) {
      const full = { lines: LINES_AT_ONCE, atMs: nowMs, suppressed: 0 };
      this.#allowances.set(message, full);
      return full;
    }
    const earned = ((nowMs - known.atMs) / MS_PER_SECOND) * LINES_PER_SECOND;
    known.lines = Math.min(LINES_AT_ONCE, known.lines + earned);
    known.atMs = nowMs;
    return known;
  }
}
