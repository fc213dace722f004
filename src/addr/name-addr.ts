import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseDnsName, withoutTrailingDot, type DnsName } from "./dns-name.ts";
import { isLoopback, parseIp } from "./ip.ts";
import { parsePort } from "./port.ts";
import { formatSocketAddr, type SocketAddr } from "./socket-addr.ts";

/** A DNS name with a port. */
export interface NameAddr {
  readonly name: DnsName;
  readonly port: number;
}

/** What an authority or a configured address can be. */
export type Addr =
  | { readonly kind: "name"; readonly name: NameAddr }
  | { readonly kind: "socket"; readonly socket: SocketAddr };

/** Parses `name:port`, `ip:port` or `[v6]:port`. Without a port, `defaultPort` is taken; if that is undefined too, it is a problem. */
export function parseAddr(text: string, defaultPort?: number): Parsed<Addr> {
  const split = splitHostPort(text);
  if (!split.ok) return split;
  const { host, portText } = split.value;
  let port = defaultPort;
  if (portText !== undefined) {
    const p = parsePort(portText);
    if (!p.ok) return p;
    port = p.value;
  }
  if (port === undefined) return unparsed(`"${text}" is missing a port`);
  const ip = parseIp(host);
  if (ip.ok) return parsed({ kind: "socket", socket: { ip: ip.value, port } });
  const name = parseDnsName(host);
  if (!name.ok) return unparsed(`"${text}" has neither a DNS name nor an IP address as its host`);
  return parsed({ kind: "name", name: { name: name.value, port } });
}

/** Splits an authority into host (brackets removed) and port text. Does not judge the host. */
export function splitHostPort(text: string): Parsed<{ host: string; portText: string | undefined }> {
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    if (close < 0) return unparsed(`"${text}" has an unclosed bracket`);
    const rest = text.slice(close + 1);
    if (!text.slice(1, close).includes(":")) return unparsed(`"${text}": brackets are for IPv6 addresses`);
    if (rest !== "" && !rest.startsWith(":")) return unparsed(`"${text}" has text after the bracket`);
    return parsed({ host: text.slice(1, close), portText: rest === "" ? undefined : rest.slice(1) });
  }
  const colon = text.lastIndexOf(":");
  if (colon < 0) return parsed({ host: text, portText: undefined });
  if (text.indexOf(":") !== colon) return unparsed(`"${text}": write an IPv6 address in brackets`);
  return parsed({ host: text.slice(0, colon), portText: text.slice(colon + 1) });
}

/** `name:port` without the trailing dot of the name, or the socket address. */
export function formatAddr(addr: Addr): string {
  return addr.kind === "socket" ? formatSocketAddr(addr.socket) : formatNameAddr(addr.name);
}

export function formatNameAddr(addr: NameAddr): string {
  return `${withoutTrailingDot(addr.name)}:${addr.port}`;
}

/** Loopback as the control-plane clients mean it: a loopback IP, or the name `localhost.` with its dot. */
export function isLoopbackAddr(addr: Addr): boolean {
  return addr.kind === "socket" ? isLoopback(addr.socket.ip) : addr.name.name === "localhost.";
}
