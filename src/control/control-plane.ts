import type { Addr, NameAddr } from "../addr/name-addr.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import type { ClientPolicy, Profile } from "../policy/client-policy.ts";
import type { EndpointUpdate } from "../policy/endpoint.ts";
import type { ServerPolicy } from "../policy/server-policy.ts";
import type { Watch } from "../watch/watch.ts";

/**
 * What the stacks ask of the control plane, in domain types. Every answer keeps its last good value through outages
 * (fail static) and follows the control plane again when it is back.
 *
 * Each lookup takes a signal for "nobody holds this any more": aborting it ends the stream behind. There is no limit on
 * waiting for a first answer; whoever waits on behalf of somebody aborts when that one is gone.
 */
export interface ControlPlane {
  /**
   * Why the control plane cannot be asked at present, for the error of whoever gives up waiting for it; undefined while
   * all is well. What is known already is in force either way.
   */
  readonly unreachable: string | undefined;

  /**
   * The profile of an address or name, once it is known; undefined if the control plane has none or says that the
   * question is wrong, or if `signal` aborts first. Which targets to ask about at all is the caller's to decide.
   *
   * @param onUnknown told whenever the control plane has looked and there is no such target. It may come to be, and is
   *   asked for again.
   */
  watchProfile(
    target: Addr,
    signal: AbortSignal,
    onUnknown?: () => void,
  ): Promise<Watch<Profile> | undefined>;

  /** The outbound policy of an address or name, once the control plane has spoken. Never rejects. */
  watchOutboundPolicy(target: Addr, signal: AbortSignal): Promise<OutboundPolicyLookup>;

  /**
   * The inbound policy of a port: `initial` until the control plane has spoken, so that nobody has to wait.
   *
   * @param port 1 to 65535, as the client addressed it.
   */
  watchServerPolicy(port: number, initial: ServerPolicy, signal: AbortSignal): Watch<ServerPolicy>;

  /**
   * The endpoints of a name, as changes to an initially empty set.
   *
   * @returns nothing; `listener` is called until `signal` aborts or it was told of the failure.
   */
  resolveEndpoints(path: NameAddr, signal: AbortSignal, listener: EndpointListener): void;
}

export type OutboundPolicyLookup =
  | { readonly kind: "found"; readonly watch: Watch<ClientPolicy> }
  /** The control plane knows no policy for the target, or nothing of outbound policies: synthesise one. */
  | { readonly kind: "not_found" }
  /** The lookup cannot succeed, or `signal` aborted (code `canceled`). */
  | { readonly kind: "failed"; readonly error: ProxyError };

export interface EndpointListener {
  update(update: EndpointUpdate): void;
  /** The resolution is over for good (code `pool_failed`); the endpoints told so far are no promise any more. */
  failed(error: ProxyError): void;
}
