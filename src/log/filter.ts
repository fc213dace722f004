import { parsed, unparsed, type Parsed } from "../parsed.ts";
import type { LogFields, LogLevel } from "./log.ts";

/** An active span, as events see it. */
export interface Span {
  readonly name: string;
  readonly fields: LogFields;
}

/** How much passes: 0 nothing, 1 error, 2 warn, 3 info, 4 debug, 5 trace. */
export type Verbosity = 0 | 1 | 2 | 3 | 4 | 5;

export const VERBOSITY: { readonly [L in LogLevel]: Verbosity } = {
  error: 1,
  warn: 2,
  info: 3,
  debug: 4,
  trace: 5,
};

/** One rule of a filter. */
export interface Directive {
  /** Prefix of the targets it holds for; "" holds for all. */
  readonly target: string;
  /** Name of a span that must be active; undefined asks for none. */
  readonly span: string | undefined;
  /** Fields that the span, or without a span name the event or any span, must have; a value must match as text. */
  readonly fields: readonly { readonly name: string; readonly value: string | undefined }[];
  readonly verbosity: Verbosity;
}

/** Rules, most specific first. */
export interface LogFilter {
  readonly directives: readonly Directive[];
}

/** A longer filter text is refused: nobody writes it, and it is matched against every logger. */
export const FILTER_TEXT_MAX = 16 * 1024;

const LEVELS = new Map<string, Verbosity>([
  ["off", 0],
  ["error", 1],
  ["warn", 2],
  ["info", 3],
  ["debug", 4],
  ["trace", 5],
  ["0", 0],
  ["1", 1],
  ["2", 2],
  ["3", 3],
  ["4", 4],
  ["5", 5],
]);
const LEVEL_NAMES = ["off", "error", "warn", "info", "debug", "trace"];

const WARN: Directive = { target: "", span: undefined, fields: [], verbosity: VERBOSITY.warn };

/**
 * Reads a filter strictly: the first directive that is not valid refuses the whole text.
 *
 * Source: tracing-subscriber, src/filter/env/; linkerd2-proxy, linkerd/tracing/src/level.rs.
 */
export function parseLogFilter(text: string): Parsed<LogFilter> {
  if (text.length > FILTER_TEXT_MAX) return unparsed(`a filter may be ${FILTER_TEXT_MAX} characters long`);
  const { filter, problems } = readLogFilter(text);
  const [problem] = problems;
  return problem === undefined ? parsed(filter) : unparsed(problem);
}

/** Reads a filter leniently: directives that are not valid are left out and told. */
export function readLogFilter(text: string): {
  readonly filter: LogFilter;
  readonly problems: readonly string[];
} {
  // Of two rules for the same thing the later was meant.
  const directives = new Map<string, Directive>();
  const problems: string[] = [];
  for (const item of splitDirectives(text.slice(0, FILTER_TEXT_MAX))) {
    const directive = parseDirective(item);
    if (directive.ok) directives.set(formatScope(directive.value), directive.value);
    else problems.push(directive.problem);
  }
  if (directives.size === 0) directives.set("", WARN);
  return { filter: { directives: [...directives.values()].sort(bySpecificity) }, problems };
}

/** The rules as text that reads back as the same filter. */
export function formatLogFilter(filter: LogFilter): string {
  return filter.directives.map(formatDirective).join(",");
}

/** Splits at commas outside brackets and braces; blanks are trimmed, empty items dropped. */
function splitDirectives(text: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === "[" || c === "{") depth++;
    else if (c === "]" || c === "}") depth = Math.max(0, depth - 1);
    else if (c === undefined || (c === "," && depth === 0)) {
      items.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  return items.filter((item) => item !== "");
}

function parseDirective(text: string): Parsed<Directive> {
  const shown = JSON.stringify(text.slice(0, 80));
  const bare = LEVELS.get(text.toLowerCase());
  if (bare !== undefined) return parsed({ ...WARN, verbosity: bare });
  const match = /^([\w:.-]*)(?:\[([^\]]*)\])?(?:=(.*))?$/.exec(text);
  const [, target = "", scope, levelText] = match ?? [];
  if (match === null || (target === "" && scope === undefined)) {
    return unparsed(`${shown} is not a directive, expected target[span{field=value}]=level`);
  }
  const verbosity =
    levelText === undefined || levelText === ""
      ? VERBOSITY.trace
      : LEVELS.get(levelText.trim().toLowerCase());
  if (verbosity === undefined) {
    return unparsed(`${shown} has no level after "=", expected ${LEVEL_NAMES.join(", ")} or 0 to 5`);
  }
  if (scope === undefined) return parsed({ target, span: undefined, fields: [], verbosity });
  const inside = /^([^{}]*)(?:\{([^{}]*)\})?$/.exec(scope);
  if (inside === null) return unparsed(`${shown} has unmatched braces`);
  const [, span = "", fieldText] = inside;
  const fields = (fieldText ?? "")
    .split(",")
    .map((f) => f.trim())
    .filter((f) => f !== "")
    .map(parseField);
  return parsed({ target, span: span.trim() === "" ? undefined : span.trim(), fields, verbosity });
}

function parseField(text: string): { readonly name: string; readonly value: string | undefined } {
  const equals = text.indexOf("=");
  if (equals < 0) return { name: text, value: undefined };
  const value = text.slice(equals + 1).trim();
  const quoted = /^"(.*)"$/.exec(value);
  return { name: text.slice(0, equals).trim(), value: quoted?.[1] ?? value };
}

function formatDirective(d: Directive): string {
  const level = LEVEL_NAMES[d.verbosity] ?? "trace";
  const scope = formatScope(d);
  return scope === "" ? level : `${scope}=${level}`;
}

/** What a rule holds for: `target[span{field=value}]`, or "" for everything. */
function formatScope(d: Directive): string {
  const fields = d.fields.map((f) => (f.value === undefined ? f.name : `${f.name}=${f.value}`)).join(",");
  if (d.span === undefined && fields === "") return d.target;
  return `${d.target}[${d.span ?? ""}${fields === "" ? "" : `{${fields}}`}]`;
}

/** Longer target first, then a span name, then more fields; at last by text, so that the order does not depend on luck. */
function bySpecificity(a: Directive, b: Directive): number {
  return (
    b.target.length - a.target.length ||
    (b.span?.length ?? -1) - (a.span?.length ?? -1) ||
    b.fields.length - a.fields.length ||
    (formatScope(a) < formatScope(b) ? -1 : 1)
  );
}

/** What a filter says about one target inside its spans, worked out once and asked for every event. */
export interface Decision {
  /** Rules that need the event's fields, in order; the first that matches decides. */
  readonly byFields: readonly Directive[];
  /** What holds if none of them does. */
  readonly otherwise: Verbosity;
  /** The most that any event may pass with. */
  readonly most: Verbosity;
}

/** Works out what the filter says for a target inside spans. */
export function decide(filter: LogFilter, target: string, spans: readonly Span[]): Decision {
  const byFields: Directive[] = [];
  for (const directive of filter.directives) {
    if (!target.startsWith(directive.target)) continue;
    if (directive.span !== undefined) {
      const holds = spans.some((s) => s.name === directive.span && hasFields(s.fields, directive));
      if (!holds) continue;
    } else if (directive.fields.length > 0 && !spans.some((s) => hasFields(s.fields, directive))) {
      byFields.push(directive);
      continue;
    }
    return { byFields, otherwise: directive.verbosity, most: mostOf(byFields, directive.verbosity) };
  }
  return { byFields, otherwise: 0, most: mostOf(byFields, 0) };
}

/** Whether an event with these fields passes. */
export function passes(decision: Decision, level: LogLevel, fields: LogFields | undefined): boolean {
  const wanted = VERBOSITY[level];
  if (wanted > decision.most) return false;
  if (fields !== undefined) {
    for (const directive of decision.byFields) {
      if (hasFields(fields, directive)) return wanted <= directive.verbosity;
    }
  }
  return wanted <= decision.otherwise;
}

function mostOf(directives: readonly Directive[], least: Verbosity): Verbosity {
  let most = least;
  for (const { verbosity } of directives) if (verbosity > most) most = verbosity;
  return most;
}

function hasFields(fields: LogFields, directive: Directive): boolean {
  return directive.fields.every(({ name, value }) => {
    if (!Object.hasOwn(fields, name)) return false;
    const found = fields[name];
    return found !== undefined && (value === undefined || String(found) === value);
  });
}
