/** What is known of the process that reports spans. A number is an integer. */
export type ResourceAttributes = ReadonlyMap<string, string | number>;

/** Where attributes of the resource come from; the text of a later source wins over an earlier one. */
export interface ResourceSources {
  readonly pid: number;
  /** Unix time. */
  readonly startedAtSeconds: number;
  readonly hostName: string | undefined;
  readonly serviceName: string | undefined;
  /** `key=value` lines: of a file, and of a variable of our own. */
  readonly file: string | undefined;
  readonly extra: string | undefined;
  /** OTEL_RESOURCE_ATTRIBUTES: such lines, or a list with commas. */
  readonly otel: string | undefined;
}

/**
 * The attributes of all sources together.
 *
 * Source: linkerd2-proxy, linkerd/app/src/env/trace.rs, linkerd/app/src/trace_collector/otel_collector.rs.
 */
export function resourceAttributes(sources: ResourceSources): ResourceAttributes {
  const { pid, startedAtSeconds, hostName, serviceName, file, extra, otel } = sources;
  const found = new Map<string, string | number>([
    ["process.pid", pid],
    ["process.start_timestamp", startedAtSeconds],
  ]);
  if (hostName !== undefined) found.set("host.name", hostName);
  if (serviceName !== undefined) found.set("service.name", serviceName);
  const told = [parseLines(file ?? ""), parseLines(extra ?? ""), parseLinesOrList(otel ?? "")].flat();
  for (const [key, value] of told) found.set(key, value);
  return found;
}

/**
 * Reads one `key=value` a line, as Kubernetes writes labels into files: value in double quotes, which are taken off.
 * Lines without `=` say nothing. Blanks belong to what they stand in.
 */
export function parseLines(text: string): [string, string][] {
  const found: [string, string][] = [];
  for (const line of text.split(/\r?\n/)) {
    const equals = line.indexOf("=");
    if (equals >= 0) found.push([line.slice(0, equals), line.slice(equals + 1).replace(/^"+|"+$/g, "")]);
  }
  return found;
}

/**
 * Reads what our model writes into OTEL_RESOURCE_ATTRIBUTES, which is lines, and without a line break what everybody else
 * does: pairs joined by commas, blanks around them, values percent-encoded.
 *
 * Source: opentelemetry.io, specs/otel/resource/sdk, "Specifying resource information via an environment variable".
 */
export function parseLinesOrList(text: string): [string, string][] {
  if (text.includes("\n")) return parseLines(text);
  return parseLines(text.replaceAll(",", "\n")).map(([key, value]) => [key.trim(), decoded(value.trim())]);
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
