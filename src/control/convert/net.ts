import { create } from "@bufbuild/protobuf";
import { ipFromBytes, type Ip } from "../../addr/ip.ts";
import type { Cidr } from "../../addr/cidr.ts";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import {
  IPv6Schema,
  TcpAddressSchema,
  type IPAddress,
  type IPNetwork,
  type TcpAddress,
} from "../../proto/gen/net_pb.js";
import { invalid, required } from "./field.ts";

/** The address, or undefined when neither kind is set. */
export function ipFromProto(address: IPAddress): Ip | undefined {
  const bytes = bytesOf(address);
  return bytes === undefined ? undefined : ipFromBytes(bytes);
}

function bytesOf({ ip }: IPAddress): Buffer | undefined {
  if (ip.case === "ipv4") {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(ip.value);
    return bytes;
  }
  if (ip.case === "ipv6") {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64BE(ip.value.first, 0);
    bytes.writeBigUInt64BE(ip.value.last, 8);
    return bytes;
  }
  return undefined;
}

/**
 * A socket address, or undefined when nothing can be dialled there: no address, or port 0.
 *
 * Ports are cut to 16 bits, as other clients of this API do. Source: linkerd2-proxy, linkerd/proxy/api-resolve/src/pb.rs.
 */
export function socketAddrFromProto(address: TcpAddress | undefined): SocketAddr | undefined {
  const ip = address?.ip === undefined ? undefined : ipFromProto(address.ip);
  const port = (address?.port ?? 0) & 0xffff;
  return ip === undefined || port === 0 ? undefined : { ip, port };
}

/** A block of addresses; a block inside ::ffff:0:0/96 becomes the IPv4 block it maps, as the addresses of clients do. */
export function cidrFromProto({ ip, prefixLen }: IPNetwork): Cidr {
  return cidrOf(ip, prefixLen, "prefix_len");
}

/** @param name of the field with the prefix, for problems. */
export function cidrOf(address: IPAddress | undefined, prefix: number, name: string): Cidr {
  const bytes = required("ip", address, (ip) => bytesOf(ip) ?? invalid("is neither IPv4 nor IPv6"));
  if (prefix > bytes.length * 8) return invalid(`${name} ${prefix} is more than ${bytes.length * 8} bits`);
  const ip = ipFromBytes(bytes);
  // An IPv4-mapped block is unwrapped together with its prefix; one that is wider than the mapping holds no IPv4 block.
  if (ip.bytes.length === bytes.length) return { ip, prefix };
  return prefix >= 96
    ? { ip, prefix: prefix - 96 }
    : invalid(`${name} ${prefix} is wider than ::ffff:0:0/96`);
}

/** A socket address as requests carry it. */
export function tcpAddressOf({ ip, port }: SocketAddr): TcpAddress {
  const bytes = Buffer.from(ip.bytes);
  return create(TcpAddressSchema, {
    ip: {
      ip:
        ip.version === 4
          ? { case: "ipv4", value: bytes.readUInt32BE(0) }
          : {
              case: "ipv6",
              value: create(IPv6Schema, { first: bytes.readBigUInt64BE(0), last: bytes.readBigUInt64BE(8) }),
            },
    },
    port,
  });
}
