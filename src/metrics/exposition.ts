import type { HistogramCell, NumberCell } from "./cells.ts";
import type { AnyFamily, FamilySpec, Series, SeriesFamily } from "./family.ts";
import { floatText, numberText } from "./label-text.ts";

/**
 * The text of one family, a few lines at a time so that a big page need not be made in one turn.
 *
 * The older families follow the Prometheus text format 0.0.4; the newer ones print as an OpenMetrics encoder does: counters
 * named without `_total` in their comment lines, a full stop after the help, bounds and sums with a decimal point, `le` first.
 * A family without series prints nothing.
 *
 * Source: linkerd2-proxy, linkerd/metrics/src/fmt.rs and serve.rs; prometheus client_rust, src/encoding/text.rs.
 */
export function* familyLines(any: AnyFamily): Generator<string> {
  if (any.family.size === 0) return;
  yield head(any.family.spec);
  if (any.kind === "number") yield* numberLines(any.family);
  else yield* histogramLines(any.family);
}

function head(spec: FamilySpec): string {
  if (spec.part === "legacy") return `# HELP ${spec.name} ${spec.help}.\n# TYPE ${spec.name} ${spec.type}\n`;
  const name = spec.type === "counter" ? spec.name.replace(/_total$/, "") : spec.name;
  const unit = spec.unit === undefined ? "" : `# UNIT ${name} ${spec.unit}\n`;
  return `# HELP ${name} ${spec.help}.\n# TYPE ${name} ${spec.type}\n${unit}`;
}

function* numberLines(family: SeriesFamily<NumberCell>): Generator<string> {
  const { name, float } = family.spec;
  for (const { text, cell } of family) {
    yield `${name}${braced(text)} ${float ? floatText(cell.value) : numberText(cell.value)}\n`;
  }
}

function* histogramLines(family: SeriesFamily<HistogramCell>): Generator<string> {
  const { spec } = family;
  const legacy = spec.part === "legacy";
  const bounds = Array.from(spec.bounds, (b) => (legacy ? numberText(b) : floatText(b)));
  bounds.push("+Inf");
  for (const series of family)
    yield legacy ? legacySeries(spec, bounds, series) : openSeries(spec, bounds, series);
}

function legacySeries(spec: FamilySpec, bounds: string[], { text, cell }: Series<HistogramCell>): string {
  const before = text === "" ? "" : `${text},`;
  let lines = "";
  let count = 0;
  for (let i = 0; i < bounds.length; i++) {
    count += cell.counts[i] ?? 0;
    lines += `${spec.name}_bucket{${before}le="${bounds[i]}"} ${numberText(count)}\n`;
  }
  return `${lines}${spec.name}_count${braced(text)} ${numberText(count)}\n${spec.name}_sum${braced(text)} ${numberText(cell.sum)}\n`;
}

function openSeries(spec: FamilySpec, bounds: string[], { text, cell }: Series<HistogramCell>): string {
  const after = text === "" ? "" : `,${text}`;
  let buckets = "";
  let count = 0;
  for (let i = 0; i < bounds.length; i++) {
    count += cell.counts[i] ?? 0;
    buckets += `${spec.name}_bucket{le="${bounds[i]}"${after}} ${numberText(count)}\n`;
  }
  return `${spec.name}_sum${braced(text)} ${floatText(cell.sum)}\n${spec.name}_count${braced(text)} ${numberText(count)}\n${buckets}`;
}

function braced(text: string): string {
  return text === "" ? "" : `{${text}}`;
}
