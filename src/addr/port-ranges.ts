import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parsePort } from "./port.ts";

/** Inclusive ranges of ports. */
export type PortRanges = readonly { readonly low: number; readonly high: number }[];

/** Parses `N` or `LOW-HIGH` joined by commas; blanks are trimmed and empty items skipped. */
export function parsePortRanges(text: string): Parsed<PortRanges> {
  const ranges: { low: number; high: number }[] = [];
  for (const item of text.split(",")) {
    const trimmed = item.trim();
    if (trimmed === "") continue;
    const [lowText = "", highText, more] = trimmed.split("-").map((t) => t.trim());
    const low = parsePort(lowText);
    const high = highText === undefined ? low : parsePort(highText);
    if (!low.ok || !high.ok || more !== undefined || high.value < low.value) {
      return unparsed(`"${trimmed}" is not a valid port range`);
    }
    ranges.push({ low: low.value, high: high.value });
  }
  return parsed(ranges);
}

export function portRangesContain(ranges: PortRanges, port: number): boolean {
  return ranges.some((r) => port >= r.low && port <= r.high);
}
