import type { sendUnaryData, Server } from "@grpc/grpc-js";
import { addGrpcService } from "../../proto/grpc-service.ts";
import { InboundServerPolicies, ServerSchema } from "../../proto/gen/inbound_pb.js";
import { OutboundPolicies, OutboundPolicySchema, type OutboundPolicy } from "../../proto/gen/outbound_pb.js";
import type { Watch } from "../../watch/watch.ts";
import type { Cluster } from "../index/cluster.ts";
import { findInboundPolicy } from "../index/inbound-policy.ts";
import type { Lookup } from "../index/lookup.ts";
import { findOutboundPolicy } from "../index/outbound-policy.ts";
import { newest } from "./newest.ts";
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
        newest(ServerSchema, (now) => findInboundPolicy(now, request), "end"),
      );
    },
  });
  addGrpcService(server, OutboundPolicies, {
    get: (call, reply) => respond(reply, findOutboundPolicy(cluster.value, call.request)),
    watch: (call) => {
      const { request } = call;
      streams.serve(
        call,
        newest(
          OutboundPolicySchema,
          (now) => findOutboundPolicy(now, request),
          "stay_silent",
          keepsItsService,
        ),
      );
    },
  });
}

/** A stream about a service does not become one about a bare address when the service is deleted: it waits for it to return. */
function keepsItsService(last: OutboundPolicy, next: OutboundPolicy): boolean {
  return last.metadata?.kind.case !== "resource" || next.metadata?.kind.case === "resource";
}

function respond<M>(reply: sendUnaryData<M>, found: Lookup<M>): void {
  if (found.ok) reply(null, found.value);
  else reply(errorOf(found));
}
