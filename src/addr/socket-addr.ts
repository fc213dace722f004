import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseIp, type Ip } from "./ip.ts";
import { parsePort } from "./port.ts";

/** One end of a connection. */
export interface SocketAddr {
  readonly ip: Ip;
  readonly port: number;
}

/** Parses `a.b.c.d:port` or `[v6]:port`. */
export function parseSocketAddr(text: string): Parsed<SocketAddr> {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return unparsed(`"${text}" is missing a port`);
  let host = text.slice(0, colon);
  const bracketed = host.startsWith("[") && host.endsWith("]");
  if (bracketed) host = host.slice(1, -1);
  if (host.includes(":") !== bracketed) {
    return unparsed(`"${text}": write an IPv6 address, and no other, as [address]:port`);
  }
  const ip = parseIp(host);
  if (!ip.ok) return unparsed(`"${text}": host is not an IP address`);
  const port = parsePort(text.slice(colon + 1));
  if (!port.ok) return port;
  return parsed({ ip: ip.value, port: port.value });
}

/** `a.b.c.d:port` or `[v6]:port`. */
export function formatSocketAddr(addr: SocketAddr): string {
  return addr.ip.version === 4 ? `${addr.ip.text}:${addr.port}` : `[${addr.ip.text}]:${addr.port}`;
}
