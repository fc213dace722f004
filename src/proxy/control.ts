import { formatAddr, isLoopbackAddr, type Addr } from "../addr/name-addr.ts";
import type { Config, ControlAddr, TransportConfig } from "../config/config.ts";
import { ControlClient, type ServiceRole } from "../control/control-client.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import { GrpcControlPlane } from "../control/grpc-control-plane.ts";
import type { StreamContext } from "../control/stream-context.ts";
import type { ProxyShared } from "./shared.ts";

/** Makes a client of a controller: over mutual TLS with the credentials of the moment, or in clear text on loopback. */
export type ControlClients = (service: string, at: ControlAddr, role?: ServiceRole) => ControlClient;

export function controlClients(config: Config, { clock, logging, credentials }: ProxyShared): ControlClients {
  return (service, { addr, name }, role) => {
    const { connectTimeoutMs, connectBackoff: backoff } = sideOf(config, addr);
    const tls = name === undefined ? undefined : { serverName: name, credentials };
    const log = logging.log.target("linkerd_app_core").span("controller", { addr: formatAddr(addr) });
    const options = { service, address: addr, tls, connectTimeoutMs, backoff, clock, log };
    return new ControlClient(role === undefined ? options : { ...options, role });
  };
}

/** Controllers on loopback are applications of this pod: reached as fast, and given up as fast, as those. */
export function sideOf(config: Config, addr: Addr): TransportConfig {
  return isLoopbackAddr(addr) ? config.inbound : config.outbound;
}

/** Discovery and policy, as the data path asks for them. */
export function controlPlane(
  { control, inbound, outbound }: Config,
  client: ControlClients,
  { clock, logging }: ProxyShared,
): ControlPlane {
  const stream = (service: string, at: ControlAddr): StreamContext => {
    const local = isLoopbackAddr(at.addr);
    return {
      client: client(service, at),
      clock,
      log: logging.log.target("linkerd_app_core"),
      backoff: (local ? inbound : outbound).connectBackoff,
      limits: {
        initialMs: local ? undefined : control.streamInitialTimeoutMs,
        idleMs: local ? undefined : control.streamIdleTimeoutMs,
        lifetimeMs: local ? undefined : control.streamLifetimeMs,
      },
    };
  };
  return new GrpcControlPlane({
    destination: stream("destination", control.destination),
    policy: stream("policy", control.policy),
    contextToken: control.destinationContext,
    workload: control.policyWorkload,
    outboundDetectTimeoutMs: outbound.detectTimeoutMs,
    inboundDetectTimeoutMs: inbound.detectTimeoutMs,
    peersOnLoopback: outbound.allowLoopback,
  });
}
