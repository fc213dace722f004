import type { Addr, NameAddr } from "../addr/name-addr.ts";
import type { Profile } from "../policy/client-policy.ts";
import type { ServerPolicy } from "../policy/server-policy.ts";
import type { Watch } from "../watch/watch.ts";
import type { ControlPlane, EndpointListener, OutboundPolicyLookup } from "./control-plane.ts";
import { resolveEndpoints } from "./destination.ts";
import { watchServerPolicy } from "./inbound-policy.ts";
import { watchOutboundPolicy } from "./outbound-policy.ts";
import { watchProfile } from "./profile.ts";
import type { StreamContext } from "./stream-context.ts";

export interface GrpcControlPlaneOptions {
  readonly destination: StreamContext;
  readonly policy: StreamContext;
  /** Sent to the destination service byte for byte, trailing newline included. */
  readonly contextToken: string;
  /** Sent to the policy service byte for byte, trailing newline included. */
  readonly workload: string;
  /** The proxy's own: outbound policies name one that is not used, invalid inbound ones have none to trust. */
  readonly outboundDetectTimeoutMs: number;
  readonly inboundDetectTimeoutMs: number;
  /** Whether peers live on loopback (`OUTRIGGER_ALLOW_LOOPBACK`): then nobody is let in for coming from there. */
  readonly peersOnLoopback?: boolean;
}

/** The control plane behind its gRPC API: one stream for each lookup, over one connection for each service. */
export class GrpcControlPlane implements ControlPlane {
  readonly #options: GrpcControlPlaneOptions;

  constructor(options: GrpcControlPlaneOptions) {
    this.#options = options;
  }

  get unreachable(): string | undefined {
    const { policy, destination } = this.#options;
    return policy.client.unreachable ?? destination.client.unreachable;
  }

  watchProfile(
    target: Addr,
    signal: AbortSignal,
    onUnknown?: () => void,
  ): Promise<Watch<Profile> | undefined> {
    const { destination, contextToken } = this.#options;
    return watchProfile(destination, contextToken, target, signal, onUnknown);
  }

  watchOutboundPolicy(target: Addr, signal: AbortSignal): Promise<OutboundPolicyLookup> {
    const { policy, workload, outboundDetectTimeoutMs } = this.#options;
    return watchOutboundPolicy(policy, workload, outboundDetectTimeoutMs, target, signal);
  }

  watchServerPolicy(port: number, initial: ServerPolicy, signal: AbortSignal): Watch<ServerPolicy> {
    const { policy, workload, inboundDetectTimeoutMs: detectTimeoutMs, peersOnLoopback } = this.#options;
    const localhost = peersOnLoopback === true ? "peers" : "ourselves";
    return watchServerPolicy(policy, workload, { detectTimeoutMs, localhost }, port, initial, signal);
  }

  resolveEndpoints(path: NameAddr, signal: AbortSignal, listener: EndpointListener): void {
    const { destination, contextToken } = this.#options;
    resolveEndpoints(destination, contextToken, path, signal, listener);
  }
}
