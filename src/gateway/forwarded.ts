/** What a gateway writes into `forwarded` about a request. */
export interface ForwardedElement {
  /** The gateway's own identity. */
  readonly by: string;
  /** The client's. */
  readonly for: string;
  /** The authority that the client asked for. */
  readonly host: string;
}

/**
 * Writes one element of `forwarded` (RFC 7239), as gateways of the mesh know it: values are not quoted, although the RFC
 * wants those with a colon to be, because peers compare them as they are. Only a value that would else be read as more
 * than one is quoted: an identity that is a URI may hold a semicolon.
 *
 * Source: linkerd2-proxy, linkerd/app/gateway/src/http/gateway.rs.
 */
export function formatForwarded(element: ForwardedElement): string {
  return `by=${value(element.by)};for=${value(element.for)};host=${value(element.host)};proto=https`;
}

/** What RFC 7239 has for a party that cannot be named: no header may carry anything but visible ASCII. */
const UNKNOWN = "unknown";

function value(text: string): string {
  if (!/^[\x20-\x7e]+$/.test(text)) return UNKNOWN;
  return /[ ",;\\]/.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : text;
}

/**
 * Whether a value of `forwarded` says that a request has passed `by`. All elements count, wherever they stand: servers on
 * the way may have joined several fields into one.
 *
 * Anybody may have written the value, and joined fields may hold half of a quoted string each. So it is read a second time
 * as if there were no quotes: what they seem to hide is found all the same. Linear in the length of the value; never
 * throws.
 */
export function isForwardedBy(value: string, by: string): boolean {
  return hasPair(value, by, true) || (value.includes('"') && hasPair(value, by, false));
}

function hasPair(value: string, by: string, knowsQuotes: boolean): boolean {
  let start = 0;
  for (let at = 0; at <= value.length; at++) {
    const char = value[at];
    if (char === '"' && knowsQuotes) {
      at = closingQuote(value, at + 1);
    } else if (char === undefined || char === ";" || char === ",") {
      if (pairNames(value.slice(start, at), by)) return true;
      start = at + 1;
    }
  }
  return false;
}

/** Where a quoted string ends: before the end of the value, or there if nobody closes it. */
function closingQuote(value: string, from: number): number {
  for (let at = from; at < value.length; at++) {
    if (value[at] === "\\") at++;
    else if (value[at] === '"') return at;
  }
  return value.length - 1;
}

function pairNames(pair: string, by: string): boolean {
  const equals = pair.indexOf("=");
  if (equals < 0 || pair.slice(0, equals).trim().toLowerCase() !== "by") return false;
  const text = pair.slice(equals + 1).trim();
  return text === by || unquoted(text) === by;
}

function unquoted(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/gs, "$1");
}
