import { parsed, unparsed, type Parsed } from "../parsed.ts";

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/**
 * Milliseconds of a text such as `10s`: a decimal integer directly followed by ms, s, m, h or d, which only 0 may leave
 * out. Blanks around it do not matter.
 *
 * Source: linkerd2-proxy, linkerd/app/src/env.rs and linkerd/app/outbound/src/http/logical/policy/route/extensions.rs.
 */
export function readDuration(text: string): Parsed<number> {
  const match = /^[ \t]*([0-9]+)(ms|s|m|h|d)?[ \t]*$/.exec(text);
  if (match === null) return unparsed("not a duration");
  const count = Number(match[1]);
  const unitMs = UNIT_MS.get(match[2] ?? "");
  if (unitMs === undefined) return count === 0 ? parsed(0) : unparsed("not a duration: it has no unit");
  const ms = count * unitMs;
  return Number.isSafeInteger(ms) ? parsed(ms) : unparsed("not an integer: it is too large");
}

/** The same where nobody asks why: undefined for anything that is no duration. */
export function parseDuration(text: string): number | undefined {
  const read = readDuration(text);
  return read.ok ? read.value : undefined;
}

/** A duration as messages show it: `1.5s`, `250ms`. */
export function formatDuration(ms: number): string {
  return ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}
