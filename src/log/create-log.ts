import { threadId } from "node:worker_threads";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { systemClock, wallMs } from "../time/clock.ts";
import {
  decide,
  formatLogFilter,
  parseLogFilter,
  passes,
  readLogFilter,
  VERBOSITY,
  type Decision,
  type LogFilter,
  type Span,
} from "./filter.ts";
import { jsonFormatter, plainFormatter, type LogContext, type LogFormatter } from "./format.ts";
import { NO_LOG, type Log, type LogFields, type LogLevel } from "./log.ts";

export interface LogOptions {
  /** Undefined: nothing is ever logged, and the filter cannot be changed. */
  readonly filter: string | undefined;
  readonly format: "plain" | "json";
  /** Takes whole lines with their line end. */
  readonly write: (line: string) => void;
  /** Times and thread; the process's own unless a test says otherwise. */
  readonly context?: LogContext;
}

export interface Logging {
  /** A logger with the target `linkerd_app`; take others from it. */
  readonly log: Log;
  /** Directives of the first filter that were left out, each with its reason. */
  readonly problems: readonly string[];
  /** Whether logging was off from the start: then the filter cannot be changed. */
  readonly off: boolean;
  /** Replaces the filter for all loggers at once; on a problem the old one stays. */
  setFilter(text: string): Parsed<void>;
  /** The filter in force, as text that `setFilter` takes. */
  filterText(): string;
}

/** Targets begin as the model's do, so that filters like `linkerd=debug` mean here what they mean there. */
const ROOT_TARGET = "linkerd_app";

/** Spans of detail: hidden unless their target is logged at debug. Source: linkerd2-proxy, the spans of its stacks. */
const DEBUG_SPANS = new Set(["accept", "http", "tcp", "direct", "profile"]);

/** Sets logging up. Loggers that were handed out follow later changes of the filter. */
export function createLog(options: LogOptions): Logging {
  if (options.filter === undefined) {
    return {
      log: NO_LOG,
      problems: [],
      off: true,
      setFilter: () => unparsed("logging is off"),
      filterText: () => "off",
    };
  }
  const context = options.context ?? {
    uptimeMs: () => systemClock.nowMs(),
    wallMs,
    // The main thread is number 0 to Node and 1 to readers of the model's logs.
    threadId: threadId + 1,
  };
  const { filter, problems } = readLogFilter(options.filter);
  const format = options.format === "json" ? jsonFormatter(context) : plainFormatter(context);
  const sink = new LogSink(filter, format, options.write);
  return {
    log: new FilteredLog(sink, ROOT_TARGET, []),
    problems,
    off: false,
    setFilter: (text) => {
      const next = parseLogFilter(text);
      if (!next.ok) return next;
      sink.replaceFilter(next.value);
      return parsed(undefined);
    },
    filterText: () => formatLogFilter(sink.filter),
  };
}

/** What all loggers of a process share. */
class LogSink {
  filter: LogFilter;
  /** Grows with each filter, so that loggers know that what they remember is stale. */
  generation = 0;
  readonly format: LogFormatter;
  readonly write: (line: string) => void;

  constructor(filter: LogFilter, format: LogFormatter, write: (line: string) => void) {
    this.filter = filter;
    this.format = format;
    this.write = write;
  }

  replaceFilter(filter: LogFilter): void {
    this.filter = filter;
    this.generation++;
  }
}

/** A logger of one target inside its spans. What the filter says about it is worked out once per filter. */
class FilteredLog implements Log {
  readonly #sink: LogSink;
  readonly #target: string;
  readonly #spans: readonly Span[];
  #decision: Decision | undefined = undefined;
  #generation = 0;

  constructor(sink: LogSink, target: string, spans: readonly Span[]) {
    this.#sink = sink;
    this.#target = target;
    this.#spans = spans;
  }

  trace(message: string, fields?: LogFields): void {
    this.#event("trace", message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    this.#event("debug", message, fields);
  }
  info(message: string, fields?: LogFields): void {
    this.#event("info", message, fields);
  }
  warn(message: string, fields?: LogFields): void {
    this.#event("warn", message, fields);
  }
  error(message: string, fields?: LogFields): void {
    this.#event("error", message, fields);
  }

  enabled(level: LogLevel): boolean {
    return VERBOSITY[level] <= this.#decided().most;
  }

  target(name: string): Log {
    return new FilteredLog(this.#sink, name, this.#spans);
  }

  span(name: string, fields: LogFields = {}): Log {
    return new FilteredLog(this.#sink, this.#target, [...this.#spans, { name, fields }]);
  }

  #decided(): Decision {
    if (this.#decision === undefined || this.#generation !== this.#sink.generation) {
      this.#decision = decide(this.#sink.filter, this.#target, this.#spans);
      this.#generation = this.#sink.generation;
    }
    return this.#decision;
  }

  #event(level: LogLevel, message: string, fields: LogFields | undefined): void {
    const decision = this.#decided();
    if (!passes(decision, level, fields)) return;
    const detail = decision.otherwise >= VERBOSITY.debug;
    const spans = detail ? this.#spans : this.#spans.filter((span) => !DEBUG_SPANS.has(span.name));
    this.#sink.write(this.#sink.format({ level, target: this.#target, spans, message, fields }));
  }
}
