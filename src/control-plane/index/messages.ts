import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurationSchema } from "@bufbuild/protobuf/wkt";
import type { Cidr } from "../../addr/cidr.ts";
import { ipFromBytes, type Ip } from "../../addr/ip.ts";
import type { MetadataSchema } from "../../proto/gen/meta_pb.js";
import type {
  IPAddress,
  IPAddressSchema,
  IPNetworkSchema,
  TcpAddressSchema,
} from "../../proto/gen/net_pb.js";

/** Small messages that every answer is made of. */

export function duration(ms: number): MessageInitShape<typeof DurationSchema> {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.round((ms % 1000) * 1e6) };
}

/** A duration that may be absent. */
export function optionalDuration(
  ms: number | undefined,
): MessageInitShape<typeof DurationSchema> | undefined {
  return ms === undefined ? undefined : duration(ms);
}

export function ipAddress(ip: Ip): MessageInitShape<typeof IPAddressSchema> {
  const view = new DataView(ip.bytes.buffer, ip.bytes.byteOffset, ip.bytes.byteLength);
  if (ip.version === 4) return { ip: { case: "ipv4", value: view.getUint32(0) } };
  return { ip: { case: "ipv6", value: { first: view.getBigUint64(0), last: view.getBigUint64(8) } } };
}

/** Undefined: neither version is set. */
export function ipOfMessage(message: IPAddress | undefined): Ip | undefined {
  const ip = message?.ip;
  if (ip?.case === "ipv4") {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, ip.value);
    return ipFromBytes(bytes);
  }
  if (ip?.case === "ipv6") {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, ip.value.first);
    view.setBigUint64(8, ip.value.last);
    return ipFromBytes(bytes);
  }
  return undefined;
}

export function tcpAddress(ip: Ip, port: number): MessageInitShape<typeof TcpAddressSchema> {
  return { ip: ipAddress(ip), port };
}

export function ipNetwork(cidr: Cidr): MessageInitShape<typeof IPNetworkSchema> {
  return { ip: ipAddress(cidr.ip), prefixLen: cidr.prefix };
}

export type MetadataInit = MessageInitShape<typeof MetadataSchema>;

export function defaultMeta(name: string): MetadataInit {
  return { kind: { case: "default", value: name } };
}

export function resourceMeta(resource: {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
}): MetadataInit {
  return { kind: { case: "resource", value: resource } };
}

export function serviceMeta(namespace: string, name: string, port: number): MetadataInit {
  return resourceMeta({ group: "core", kind: "Service", name, namespace, port });
}

export function egressMeta(namespace: string, name: string, port: number): MetadataInit {
  return resourceMeta({ group: "policy.linkerd.io", kind: "EgressNetwork", name, namespace, port });
}
