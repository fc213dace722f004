import { parseCidr } from "../../addr/cidr.ts";
import { parseIp } from "../../addr/ip.ts";
import { parsed, unparsed, type Parsed } from "../../parsed.ts";
import { compileRegex } from "../../policy/regex.ts";
import { parsedText, textLike, refine, text, BAD, type Reader } from "./reader.ts";
import { report, reportMismatch } from "./found.ts";

/** Readers for the words that many kinds share. */

/** The name of a resource: a DNS subdomain in lower case (RFC 1123). */
export const resourceName: Reader<string> = textLike(
  /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  "a name of lower-case letters, digits, '-' and '.'",
);

/** The name of a namespace or service: one DNS label. */
export const labelName: Reader<string> = textLike(
  /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
  "a name of at most 63 lower-case letters, digits and '-'",
);

export const ip = parsedText("an IP address", parseIp);
export const cidr = parsedText("a network such as 10.0.0.0/8", parseCidrOrHost);

/** A bare address stands for itself alone, as it does in NetworkAuthentication. */
function parseCidrOrHost(value: string): ReturnType<typeof parseCidr> {
  if (value.includes("/")) return parseCidr(value);
  const host = parseIp(value);
  return host.ok ? parsed({ ip: host.value, prefix: host.value.bytes.length * 8 }) : host;
}

/** A regular expression of RE2 syntax, checked and passed on as text. */
export const regex: Reader<string> = refine(text, (source, at) => {
  const compiled = compileRegex(source);
  if (compiled.ok) return source;
  report(at, `found a regular expression that cannot be used (${compiled.problem}), expected RE2 syntax`);
  return BAD;
});

/** A header name (RFC 9110, section 5.1), in lower case whatever its spelling. */
export const headerName: Reader<string> = refine(text, (name, at) => {
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(name)) return name.toLowerCase();
  reportMismatch(at, "the name of an HTTP header");
  return BAD;
});

/** A header value that can stand in a message: no line breaks, no NUL. */
export const headerValue: Reader<string> = textLike(/^[^\r\n\0]{0,4096}$/, "the value of an HTTP header");

/** Milliseconds of one unit. */
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

/** The longest time that a protobuf Duration holds, in milliseconds. */
const LONGEST_MS = 315_576_000_000_000;

/** `1h30m`, `500ms`, `10s`: the durations of Gateway API routes (GEP-2257), in milliseconds. */
export const gatewayDuration = parsedText(
  'a duration such as "10s", "500ms" or "1m30s"',
  parseGatewayDuration,
);

function parseGatewayDuration(value: string): Parsed<number> {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(value)) return unparsed(`"${value}" is not a duration`);
  let total = 0;
  for (const [, digits = "", unit = ""] of value.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    // The pattern above admits these units only.
    total += Number(digits) * UNIT_MS[unit as Unit];
  }
  return parsed(total);
}

/** `10s`, `250ms`, `0`: one whole number and its unit, as annotations have it, in milliseconds. */
export const annotationDuration = parsedText('a duration such as "10s" or "250ms"', (value) => {
  const match = /^([0-9]{1,15})(ms|s|m|h|d)?$/.exec(value.trim());
  const magnitude = Number(match?.[1] ?? "NaN");
  if (match === null || (match[2] === undefined && magnitude !== 0)) {
    return unparsed(`"${value}" is not a duration`);
  }
  // The pattern admits these units only.
  const total = magnitude * UNIT_MS[(match[2] ?? "s") as Unit];
  return total <= LONGEST_MS ? parsed(total) : unparsed(`"${value}" is too long`);
});

/** Milliseconds of one unit as Go writes it. */
const GO_UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** `10s`, `1m30s`, `1.5s`: the durations of ServiceProfiles (Go's time.ParseDuration, without a sign), in milliseconds. */
export const goDuration = parsedText('a duration such as "10s", "1.5s" or "1m30s"', (value) => {
  if (value === "0") return parsed(0);
  const part = /(\d{1,15}\.?\d{0,9}|\.\d{1,9})(ns|us|µs|μs|ms|s|m|h)/y;
  let total = 0;
  while (part.lastIndex < value.length) {
    const [, digits = "", unit = ""] = part.exec(value) ?? [];
    const unitMs = GO_UNIT_MS[unit];
    if (unitMs === undefined) return unparsed(`"${value}" is not a duration`);
    total += Number(digits) * unitMs;
  }
  return value !== "" && total <= LONGEST_MS ? parsed(total) : unparsed(`"${value}" is not a duration`);
});
