import { create, toJson, type JsonValue } from "@bufbuild/protobuf";
import { parseIp } from "../../src/addr/ip.ts";
import type { Cluster } from "../../src/control-plane/index/cluster.ts";
import type { Lookup } from "../../src/control-plane/index/lookup.ts";
import { tcpAddress } from "../../src/control-plane/index/messages.ts";
import { findOutboundPolicy } from "../../src/control-plane/index/outbound-policy.ts";
import {
  OutboundPolicySchema,
  TrafficSpecSchema,
  type OutboundPolicy,
} from "../../src/proto/gen/outbound_pb.js";
import { valueOf, workloadString } from "./support.ts";

/** Questions to the outbound side, and the parts that its answers are made of. */

export const CALLER = workloadString("shop", "client");

/** @param target `ip:port` or `name:port`. */
export function outboundTo(cluster: Cluster, target: string, caller = CALLER): Lookup<OutboundPolicy> {
  const [host = "", port = ""] = target.split(":");
  const ip = parseIp(host);
  return findOutboundPolicy(
    cluster,
    create(TrafficSpecSchema, {
      sourceWorkload: caller,
      target: ip.ok
        ? { case: "addr", value: tcpAddress(ip.value, Number(port)) }
        : { case: "authority", value: target },
    }),
  );
}

export function outboundJson(cluster: Cluster, target: string, caller = CALLER): JsonValue {
  return toJson(OutboundPolicySchema, valueOf(outboundTo(cluster, target, caller)), {
    useProtoFieldName: true,
  });
}

export const serviceMeta = (name: string, port: number): JsonValue => ({
  resource: { group: "core", kind: "Service", name, namespace: "shop", port },
});

/** What is balanced over a service's endpoints. */
export const backend = (name: string, port: number): JsonValue => ({
  metadata: serviceMeta(name, port),
  balancer: {
    discovery: { dst: { path: `${name}.shop.svc.cluster.local:${port}` } },
    peak_ewma: { default_rtt: "0.030s", decay: "10s" },
  },
  queue: { capacity: 100, failfast_timeout: "3s" },
});

export const first = (value: JsonValue): JsonValue => ({
  first_available: { backends: [{ backend: value }] },
});
