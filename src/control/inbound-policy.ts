import { create } from "@bufbuild/protobuf";
import { invalidServerPolicy } from "../policy/invalid.ts";
import type { ServerPolicy } from "../policy/server-policy.ts";
import { InboundServerPolicies, PortSpecSchema, type Server } from "../proto/gen/inbound_pb.js";
import { WatchCell, type Watch } from "../watch/watch.ts";
import { serverPolicyFromProto } from "./convert/server-policy.ts";
import { machineOptions, type StreamContext } from "./stream-context.ts";
import { isInvalidRequest } from "./stream.ts";
import { runWatchStream } from "./watch-stream.ts";

export interface InboundPolicyOptions {
  /** For policies that cannot be understood, whose own time could not be trusted. */
  readonly detectTimeoutMs: number;
  /** Whether loopback is this workload alone, which may always talk to itself, or where its peers live too. */
  readonly localhost: "ourselves" | "peers";
}

/** InboundServerPolicies.WatchPort: see `ControlPlane.watchServerPolicy`. Source: linkerd2-proxy, linkerd/app/inbound/src/policy/api.rs. */
export function watchServerPolicy(
  context: StreamContext,
  workload: string,
  { detectTimeoutMs, localhost }: InboundPolicyOptions,
  port: number,
  initial: ServerPolicy,
  signal: AbortSignal,
): Watch<ServerPolicy> {
  const { log } = context;
  const cell = new WatchCell(initial);
  const request = create(PortSpecSchema, { workload, port });
  const open = context.client.serverStream(InboundServerPolicies.method.watchPort, request);
  runWatchStream<Server>({
    ...machineOptions(context, open, `inbound policy of port ${port}`),
    isFatal: isInvalidRequest,
    signal,
    onMessage(message) {
      const policy = serverPolicyFromProto(message, localhost);
      if (policy.ok) {
        cell.publish(policy.value);
        return;
      }
      log.warn("invalid inbound policy: the port lets nobody in", { port, problem: policy.problem });
      cell.publish(invalidServerPolicy(detectTimeoutMs));
    },
    onFatal: (status) => log.warn("inbound policy is no longer updated", { port, error: status.message }),
  });
  return cell;
}
