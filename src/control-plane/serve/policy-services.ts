import type { sendUnaryData, Server } from "@grpc/grpc-js";
import { addGrpcService } from "../../proto/grpc-service.ts";
import { InboundServerPolicies, ServerSchema } from "../../proto/gen/inbound_pb.js";
import { OutboundPolicies, OutboundPolicySchema, type OutboundPolicy } from "../../proto/gen/outbound_pb.js";
import type { Watch } from "../../watch/watch.ts";
import type { Cluster } from "../index/cluster.ts";
import { findInboundPolicy } from "../index/inbound-policy.ts";
import type { Lookup } from "../index/lookup.ts";
import { findOutboundPolicy } from "../index/outbound-policy.ts";
import { newest, type Change } from "./newest.ts";
import { errorOf, type OpenStreams } from "./open-streams.ts";

/** Serves the policies of ports that workloads listen on, and of targets that they connect to. */
export function addPolicyServices(server: Server, cluster: Watch<Cluster>, streams: OpenStreams): void {
  addGrpcService(server, InboundServerPolicies, {
    getPort: (call, reply) => respond(reply, findInboundPolicy(cluster.value, call.request)),
    watchPort: (call) => {
      const { request } = call;
      // The end makes the proxy ask again until the workload is back.
      streams.serve(
        call,
        newest(
          ServerSchema,
          (now) => findInboundPolicy(now, request),
          (_last, next) => (next === undefined ? "end" : "send"),
        ),
      );
    },
  });
  addGrpcService(server, OutboundPolicies, {
    get: (call, reply) => respond(reply, findOutboundPolicy(cluster.value, call.request)),
    watch: (call) => {
      const { request } = call;
      streams.serve(
        call,
        newest(OutboundPolicySchema, (now) => findOutboundPolicy(now, request), outboundChange),
      );
    },
  });
}

/**
 * A stream about a service waits for it to return when it is deleted. One about an address that an EgressNetwork, or
 * nothing, speaks for ends when something else comes to speak for it: what a proxy has built for the one does not fit
 * the other.
 *
 * Source: linkerd2, policy-controller/k8s/index/src/outbound/index.rs (`reinitialize_egress_watches`, `reinitialize_fallback_watches`).
 */
function outboundChange(last: OutboundPolicy, next: OutboundPolicy | undefined): Change {
  if (kindOf(last) === "Service") return kindOf(next) === "Service" ? "send" : "stay_silent";
  return next !== undefined && parentOf(last) === parentOf(next) ? "send" : "finish";
}

function kindOf(policy: OutboundPolicy | undefined): string | undefined {
  const meta = policy?.metadata?.kind;
  return meta?.case === "resource" ? meta.value.kind : meta?.value;
}

function parentOf(policy: OutboundPolicy): string {
  const meta = policy.metadata?.kind;
  if (meta?.case !== "resource") return meta?.value ?? "";
  return `${meta.value.kind} ${meta.value.namespace}/${meta.value.name}`;
}

function respond<M>(reply: sendUnaryData<M>, found: Lookup<M>): void {
  if (found.ok) reply(null, found.value);
  else reply(errorOf(found));
}
