const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/**
 * Milliseconds of a text such as `10s`: a decimal integer directly followed by ms, s, m, h or d, which only 0 may leave
 * out. Blanks around it do not matter. Undefined for anything else.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/extensions.rs.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^[ \t]*([0-9]+)(ms|s|m|h|d)?[ \t]*$/.exec(text);
  if (match === null) return undefined;
  const count = Number(match[1]);
  const unitMs = UNIT_MS.get(match[2] ?? "");
  if (unitMs === undefined) return count === 0 ? 0 : undefined;
  const ms = count * unitMs;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** A duration as messages show it: `1.5s`, `250ms`. */
export function formatDuration(ms: number): string {
  return ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}
