import { parsed, unparsed, type Parsed } from "../parsed.ts";

declare const dnsName: unique symbol;
/** A DNS name in lower case; one trailing dot is kept, because `a` and `a.` are different names to TLS. */
export type DnsName = string & { readonly [dnsName]: true };

const LABEL = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/;

/**
 * Parses a reference name: letters, digits, `-`, `_`; labels of 1 to 63 bytes not starting or ending with `-`; at most
 * 253 bytes; the last label not all digits; no wildcard.
 *
 * Source: linkerd2-proxy, linkerd/dns/name/src/name.rs.
 */
export function parseDnsName(text: string): Parsed<DnsName> {
  const lower = text.toLowerCase();
  const bare = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  if (bare.length === 0 || bare.length > 253) return unparsed(`"${text}" is not a DNS name`);
  const labels = bare.split(".");
  for (const label of labels) {
    if (label.length > 63 || !LABEL.test(label)) return unparsed(`"${text}" is not a DNS name`);
  }
  if (/^[0-9]+$/.test(labels.at(-1) ?? "")) return unparsed(`"${text}" is not a DNS name`);
  // Checked label by label above: this is the one place where the brand is given.
  return parsed(lower as DnsName);
}

export function withoutTrailingDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/** Whether `name` equals `suffix` or ends with it at a label boundary; trailing dots are ignored; "." matches every name. */
export function hasDnsSuffix(name: string, suffix: string): boolean {
  const bareSuffix = withoutTrailingDot(suffix);
  if (bareSuffix === "") return true;
  const bareName = withoutTrailingDot(name);
  return bareName === bareSuffix || bareName.endsWith(`.${bareSuffix}`);
}
