import { create } from "@bufbuild/protobuf";
import { formatAddr, type Addr } from "../addr/name-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { assertNever } from "../parsed.ts";
import { invalidClientPolicy } from "../policy/invalid.ts";
import type { ClientPolicy } from "../policy/client-policy.ts";
import { OutboundPolicies, TrafficSpecSchema, type TrafficSpec } from "../proto/gen/outbound_pb.js";
import type { OutboundPolicyLookup } from "./control-plane.ts";
import { clientPolicyFromProto } from "./convert/client-policy.ts";
import { tcpAddressOf } from "./convert/net.ts";
import { firstAnswer } from "./first-answer.ts";
import { machineOptions, type StreamContext } from "./stream-context.ts";
import { Code, isNoOutboundPolicy } from "./stream.ts";

/** OutboundPolicies.Watch: see `ControlPlane.watchOutboundPolicy`. Source: linkerd2-proxy, linkerd/app/outbound/src/policy/api.rs. */
export async function watchOutboundPolicy(
  context: StreamContext,
  workload: string,
  detectTimeoutMs: number,
  target: Addr,
  signal: AbortSignal,
): Promise<OutboundPolicyLookup> {
  const { log } = context;
  const name = formatAddr(target);
  const request = create(TrafficSpecSchema, { sourceWorkload: workload, target: targetOf(target) });
  const open = context.client.serverStream(OutboundPolicies.method.watch, request);
  const answer = await firstAnswer<Parameters<typeof clientPolicyFromProto>[0], ClientPolicy>(
    { ...machineOptions(context, open, `outbound policy of ${name}`), isFatal: isNoOutboundPolicy, signal },
    (message) => {
      const policy = clientPolicyFromProto(message, detectTimeoutMs);
      if (policy.ok) return policy.value;
      log.warn("invalid outbound policy", { target: name, problem: policy.problem });
      return invalidClientPolicy(detectTimeoutMs);
    },
    (status) => log.warn("outbound policy is no longer updated", { target: name, error: status.message }),
  );
  switch (answer.kind) {
    case "watch":
      return { kind: "found", watch: answer.watch };
    case "abandoned":
      return { kind: "failed", error: new ProxyError("canceled", `outbound policy of ${name} was given up`) };
    case "final": {
      const { code, message } = answer.status;
      if (code === Code.NOT_FOUND) return { kind: "not_found" };
      if (code === Code.UNIMPLEMENTED) {
        log.warn("the control plane is too old for outbound policies", { target: name });
        return { kind: "not_found" };
      }
      return {
        kind: "failed",
        error: new ProxyError("invalid_policy", `outbound policy of ${name}: ${message}`),
      };
    }
    default:
      return assertNever(answer);
  }
}

function targetOf(target: Addr): TrafficSpec["target"] {
  return target.kind === "name"
    ? { case: "authority", value: formatAddr(target) }
    : { case: "addr", value: tcpAddressOf(target.socket) };
}
