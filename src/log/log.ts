/** Fields of an event. Only names and numbers that are fit to be read by strangers: never header values, never keys. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

/** A logger of one target (`linkerd_app_inbound`). Which events are written is decided by the filter in force. */
export interface Log {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Whether an event of this level would be written: ask before building costly fields. */
  enabled(level: LogLevel): boolean;
  /** A logger that names another target. */
  target(name: string): Log;
  /** A logger inside a span: `inbound`, `accept{client.addr=...}`. Spans are outermost first. */
  span(name: string, fields?: LogFields): Log;
}

const nothing = (): void => {};

/** Writes nothing: for tests and for parts that run before logging is set up. */
export const NO_LOG: Log = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  enabled: () => false,
  target: () => NO_LOG,
  span: () => NO_LOG,
};
