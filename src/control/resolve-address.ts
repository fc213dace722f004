import { Resolver, lookup } from "node:dns/promises";
import { parseIp, ipFromBytes, type Ip } from "../addr/ip.ts";
import type { Addr, NameAddr } from "../addr/name-addr.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { withoutTrailingDot } from "../addr/dns-name.ts";

/** The questions asked of DNS; tests answer them themselves. Each rejects when there is no answer. */
export interface Dns {
  srv(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
  addresses(name: string): Promise<readonly string[]>;
}

/** Asks the servers of the machine; a name they do not know may still stand in its hosts file. */
export const systemDns: Dns = {
  srv: (name) => new Resolver().resolveSrv(name),
  async addresses(name) {
    // c-ares first: the system's own lookup blocks a thread that files and keys are waiting for.
    const resolver = new Resolver();
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found;
    return (await lookup(name, { all: true })).map((entry) => entry.address);
  },
};

/**
 * The socket addresses of a control-plane service, in no order; rejects with a `ProxyError` when there are none.
 *
 * A service with named ports answers SRV with targets such as `10-42-1-15.linkerd-dst-headless...`, whose first label
 * is the address: no second question is asked. Whatever fails there falls back to A and AAAA with the configured port.
 *
 * Source: linkerd2-proxy, linkerd/proxy/dns-resolve/src/lib.rs, linkerd/dns/src/lib.rs.
 */
export async function resolveAddress(addr: Addr, dns: Dns = systemDns): Promise<readonly SocketAddr[]> {
  if (addr.kind === "socket") return [addr.socket];
  if (addr.name.name === "localhost.") return [{ ip: LOOPBACK, port: addr.name.port }];
  return (await fromSrv(addr.name, dns)) ?? (await fromHost(addr.name, dns));
}

const LOOPBACK = ipFromBytes(Uint8Array.of(127, 0, 0, 1));

async function fromSrv({ name }: NameAddr, dns: Dns): Promise<readonly SocketAddr[] | undefined> {
  const records = await dns.srv(withoutTrailingDot(name)).catch(() => []);
  const addrs: SocketAddr[] = [];
  for (const record of records) {
    const ip = ipOfSrvTarget(record.name);
    if (ip === undefined) return undefined;
    addrs.push({ ip, port: record.port });
  }
  return addrs.length === 0 ? undefined : addrs;
}

/** `10-42-1-15.headless...` or `2001-db8--1.headless...`. */
function ipOfSrvTarget(target: string): Ip | undefined {
  const [label = ""] = target.split(".");
  const v4 = parseIp(label.replaceAll("-", "."));
  if (v4.ok) return v4.value;
  const v6 = parseIp(label.replaceAll("-", ":"));
  return v6.ok ? v6.value : undefined;
}

async function fromHost({ name, port }: NameAddr, dns: Dns): Promise<readonly SocketAddr[]> {
  const host = withoutTrailingDot(name);
  let texts: readonly string[];
  try {
    texts = await dns.addresses(host);
  } catch (error) {
    throw errorFromNode(error, `resolving ${host}`);
  }
  const addrs = texts.flatMap((text) => {
    const ip = parseIp(text);
    return ip.ok ? [{ ip: ip.value, port }] : [];
  });
  if (addrs.length === 0) throw errorFromNode(new Error("no addresses"), `resolving ${host}`);
  return addrs;
}
