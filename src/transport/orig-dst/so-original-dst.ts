import { ipFromBytes } from "../../addr/ip.ts";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import { parsed, unparsed, type Parsed } from "../../parsed.ts";
import { readHostUint16, type Libc } from "../libc.ts";
import type { OrigDst } from "./orig-dst.ts";

// Linux, include/uapi/linux/in.h, netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h.
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
const IP6T_SO_ORIGINAL_DST = 80;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

/** What the errors of this one call mean. */
const ERRNO_MEANINGS: ReadonlyMap<number, string> = new Map([
  [2, "ENOENT: the kernel tracks no redirection of this connection"],
  [9, "EBADF: the connection is closed"],
  [92, "ENOPROTOOPT: this kernel does not track redirections"],
  [95, "EOPNOTSUPP: the socket is of another address family"],
  [107, "ENOTCONN: the peer has left"],
]);

/**
 * Asks the kernel's connection tracking, as `iptables -j REDIRECT` wants it.
 *
 * The family asked for is that of the client after unwrapping: an IPv4 client of a dual-stack listener has an IPv4
 * answer, though its socket is IPv6.
 *
 * Source: linkerd2-proxy, linkerd/proxy/transport/src/orig_dst.rs.
 */
export function soOriginalDst(libc: Pick<Libc, "getsockopt">): OrigDst {
  const v4 = Buffer.alloc(SOCKADDR_IN_BYTES);
  const v6 = Buffer.alloc(SOCKADDR_IN6_BYTES);
  return {
    name: "SO_ORIGINAL_DST",
    lookup({ fd, peerAddr }) {
      if (fd === undefined) return unparsed("SO_ORIGINAL_DST: the connection is closed");
      const errno =
        peerAddr.ip.version === 4
          ? libc.getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, v4)
          : libc.getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, v6);
      if (errno !== 0) return unparsed(`SO_ORIGINAL_DST: ${ERRNO_MEANINGS.get(errno) ?? `errno ${errno}`}`);
      return readSockaddr(peerAddr.ip.version === 4 ? v4 : v6);
    },
  };
}

/** Reads a `struct sockaddr_in` or `sockaddr_in6`: family in the host's byte order, port and address in the network's. */
export function readSockaddr(bytes: Buffer): Parsed<SocketAddr> {
  const family = readHostUint16(bytes, 0);
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) return parsed({ ip: ipFromBytes(Uint8Array.from(bytes.subarray(4, 8))), port });
  if (family === AF_INET6 && bytes.length >= SOCKADDR_IN6_BYTES) {
    return parsed({ ip: ipFromBytes(Uint8Array.from(bytes.subarray(8, 24))), port });
  }
  return unparsed(`SO_ORIGINAL_DST: the kernel answered with address family ${family}`);
}
