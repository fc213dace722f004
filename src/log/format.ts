import { pino } from "pino";
import type { Span } from "./filter.ts";
import type { LogFields, LogLevel } from "./log.ts";

/** An event that passed the filter. */
export interface LogEvent {
  readonly level: LogLevel;
  readonly target: string;
  /** Outermost first, only those that show. */
  readonly spans: readonly Span[];
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** Where an event's times and thread come from. */
export interface LogContext {
  /** Milliseconds since the process started. */
  readonly uptimeMs: () => number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly threadId: number;
}

/** Turns an event into one line with its line end. */
export type LogFormatter = (event: LogEvent) => string;

/**
 * Lines for people, as the model writes them:
 * `[     0.045678s]  INFO ThreadId(01) inbound:accept{client.addr=192.0.2.1:4}: linkerd_app: message key=value`.
 *
 * Source: tracing-subscriber, src/fmt/format/mod.rs; linkerd2-proxy, linkerd/tracing/src/uptime.rs.
 */
export function plainFormatter(context: LogContext): LogFormatter {
  const thread = `ThreadId(${String(context.threadId).padStart(2, "0")})`;
  return ({ level, target, spans, message, fields }) => {
    const micros = Math.max(0, Math.round(context.uptimeMs() * 1000));
    const seconds = String(Math.floor(micros / 1_000_000)).padStart(6);
    const uptime = `[${seconds}.${String(micros % 1_000_000).padStart(6, "0")}s]`;
    let scope = "";
    for (const span of spans) {
      const inner = pairs(span.fields);
      scope += inner === "" ? `${span.name}:` : `${span.name}{${inner}}:`;
    }
    const tail = fields === undefined ? "" : pairs(fields);
    const head = `${uptime} ${level.toUpperCase().padStart(5)} ${thread} ${scope === "" ? "" : `${scope} `}${target}: `;
    return `${head}${oneLine(message)}${tail === "" ? "" : ` ${tail}`}\n`;
  };
}

function pairs(fields: LogFields): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) text += `${text === "" ? "" : " "}${name}=${oneLine(String(value))}`;
  }
  return text;
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** One event is one line, whatever a stranger put into a path or header: control characters become escapes (AD-08). */
function oneLine(text: string): string {
  return text.replace(CONTROL, (c) => {
    if (c === "\n") return "\\n";
    if (c === "\r") return "\\r";
    if (c === "\t") return "\\t";
    return `\\u{${c.charCodeAt(0).toString(16)}}`;
  });
}

/**
 * One JSON object a line: `timestamp`, `level`, `fields`, `target`, `spans`, `threadId`. pino writes it; its own level and
 * message members are switched off, because the names and their order are the mesh's.
 *
 * Source: tracing-subscriber, src/fmt/format/json.rs.
 */
export function jsonFormatter(context: LogContext): LogFormatter {
  let line = "";
  const writer = pino(
    {
      base: null,
      level: "trace",
      formatters: { level: () => ({}) },
      // The first member: pino puts this text right behind the opening brace.
      timestamp: () => `"timestamp":"${timestamp(context.wallMs())}"`,
    },
    { write: (text: string) => void (line = text) },
  );
  const threadId = `ThreadId(${context.threadId})`;
  return ({ level, target, spans, message, fields }) => {
    const shown = spans.map((span) => ({ ...span.fields, name: span.name }));
    writer.info({
      level: level.toUpperCase(),
      fields: { message, ...fields },
      target,
      ...(shown.length === 0 ? {} : { spans: shown }),
      threadId,
    });
    return line;
  };
}

/** RFC 3339 with six digits of a second; the clock gives three. */
function timestamp(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
