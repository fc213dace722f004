import type { Socket } from "node:net";
import { parseIp } from "../addr/ip.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";

/** The two ends of a connected socket; IPv4-mapped addresses are unwrapped and zones dropped. A peer that already left has none. */
export function socketAddrs(socket: Socket): Parsed<{ peer: SocketAddr; local: SocketAddr }> {
  const peer = socketAddr(socket.remoteAddress, socket.remotePort);
  const local = socketAddr(socket.localAddress, socket.localPort);
  if (peer === undefined || local === undefined) return unparsed("the socket is not connected");
  return parsed({ peer, local });
}

function socketAddr(address: string | undefined, port: number | undefined): SocketAddr | undefined {
  if (address === undefined || port === undefined) return undefined;
  const zone = address.indexOf("%");
  const ip = parseIp(zone < 0 ? address : address.slice(0, zone));
  return ip.ok ? { ip: ip.value, port } : undefined;
}
