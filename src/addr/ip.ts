import { isIPv4, isIPv6 } from "node:net";
import { parsed, unparsed, type Parsed } from "../parsed.ts";

/** An IP address in canonical text with its bytes (4 or 16), so that equality is text equality and CIDR tests are byte tests. */
export interface Ip {
  readonly version: 4 | 6;
  /** Canonical: dotted decimal, or RFC 5952 without zone and without brackets. */
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** Parses an IPv4 or IPv6 address; IPv4-mapped IPv6 is unwrapped to IPv4, zones are refused. */
export function parseIp(text: string): Parsed<Ip> {
  if (isIPv4(text)) return parsed(ipFromBytes(Uint8Array.from(text.split("."), Number)));
  if (!isIPv6(text) || text.includes("%")) return unparsed(`"${text}" is not an IP address`);
  return parsed(ipFromBytes(bytesOfIpv6(text)));
}

/** Builds an address from 4 or 16 bytes in network order; IPv4-mapped IPv6 is unwrapped. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return { version: 4, text: bytes.join("."), bytes };
  if (bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  if (isMapped(bytes)) return ipFromBytes(bytes.slice(12));
  return { version: 6, text: textOfIpv6(bytes), bytes };
}

export function isLoopback(ip: Ip): boolean {
  return ip.version === 4 ? ip.bytes[0] === 127 : ip.text === "::1";
}

export function isUnspecified(ip: Ip): boolean {
  return ip.bytes.every((b) => b === 0);
}

function isMapped(b: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (b[i] !== 0) return false;
  return b[10] === 0xff && b[11] === 0xff;
}

function bytesOfIpv6(text: string): Uint8Array {
  let hex = text;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const [, head, a, b, c, d] = dotted;
    hex = `${head}${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`;
  }
  const [left = "", right] = hex.split("::");
  const leftGroups = left === "" ? [] : left.split(":");
  const rightGroups = right === undefined || right === "" ? [] : right.split(":");
  const zeros = right === undefined ? 0 : 8 - leftGroups.length - rightGroups.length;
  const groups = [...leftGroups, ...Array<string>(zeros).fill("0"), ...rightGroups].map((g) =>
    parseInt(g, 16),
  );
  return Uint8Array.from(groups.flatMap((g) => [g >> 8, g & 255]));
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function textOfIpv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > bestLength) {
      bestStart = i;
      bestLength = end - i;
    }
    if (end > i) i = end;
  }
  const hex = groups.map((g) => g.toString(16));
  if (bestStart < 0) return hex.join(":");
  return `${hex.slice(0, bestStart).join(":")}::${hex.slice(bestStart + bestLength).join(":")}`;
}
