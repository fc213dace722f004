/**
 * Whether `text` is `host` or `host:port` as a Host field, an absolute-form target or CONNECT may carry it: a registered
 * name, an IPv4 address or a bracketed IPv6 address, without user information; the port at most 65535.
 *
 * A comma is refused although RFC 3986 allows it in names: it is how two Host fields look after somebody joined them.
 *
 * Source: RFC 9110 section 7.2, RFC 3986 section 3.2.2.
 */
export function isHost(text: string, portRequired: boolean): boolean {
  let at = 0;
  if (text.charCodeAt(0) === 0x5b) {
    const close = text.indexOf("]");
    if (close < 3) return false;
    for (at = 1; at < close; at++) if (!isIpv6Char(text.charCodeAt(at))) return false;
    at = close + 1;
  } else {
    while (at < text.length && NAME_BYTES[text.charCodeAt(at)] === 1) at++;
    if (at === 0) return false;
  }
  if (at === text.length) return !portRequired;
  return text.charCodeAt(at) === 0x3a && isPort(text, at + 1, portRequired);
}

function isPort(text: string, from: number, required: boolean): boolean {
  if (from === text.length) return !required;
  let port = 0;
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
    if (port > 65_535) return false;
  }
  return true;
}

function isIpv6Char(char: number): boolean {
  const lower = char | 0x20;
  return (char >= 0x30 && char <= 0x3a) || (lower >= 0x61 && lower <= 0x66) || char === 0x2e;
}

/** unreserved, sub-delims without the comma, and the percent sign of an escaped byte. */
const NAME_BYTES = new Uint8Array(256);
for (const char of "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+;=%") {
  NAME_BYTES[char.charCodeAt(0)] = 1;
}
