import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseIp, type Ip } from "./ip.ts";

/** A block of addresses; bits of `ip` beyond `prefix` carry no meaning. */
export interface Cidr {
  readonly ip: Ip;
  /** 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefix: number;
}

/** Parses `address/prefix`; a bare address is a problem, not a host block. */
export function parseCidr(text: string): Parsed<Cidr> {
  const slash = text.indexOf("/");
  if (slash < 0) return unparsed(`"${text}" has no /prefix`);
  const address = text.slice(0, slash);
  const ip = parseIp(address);
  if (!ip.ok) return ip;
  const digits = text.slice(slash + 1);
  if (!/^[0-9]{1,3}$/.test(digits)) return unparsed(`"${text}" has no valid prefix length`);
  return cidrOf(ip.value, Number(digits), address.includes(":") ? 128 : 32);
}

/** @param width bits of the address as written, to which `prefix` refers. */
function cidrOf(ip: Ip, prefix: number, width: number): Parsed<Cidr> {
  const bits = ip.bytes.length * 8;
  // An IPv4-mapped address was unwrapped: the bits of its wrapping do not count, and a block wider than them is none.
  const own = prefix - (width - bits);
  if (prefix > width || own < 0) {
    return unparsed(`${ip.text} has no valid prefix length: ${prefix}`);
  }
  return parsed({ ip, prefix: own });
}

/** Whether `ip` lies in the block. Blocks of one IP version never contain addresses of the other. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (cidr.ip.version !== ip.version) return false;
  const whole = cidr.prefix >> 3;
  for (let i = 0; i < whole; i++) if (cidr.ip.bytes[i] !== ip.bytes[i]) return false;
  const rest = cidr.prefix & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((cidr.ip.bytes[whole] ?? 0) & mask) === ((ip.bytes[whole] ?? 0) & mask);
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.ip.text}/${cidr.prefix}`;
}
