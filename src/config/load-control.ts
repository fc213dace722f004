import { isLoopbackAddr } from "../addr/name-addr.ts";
import type { ControlAddr, ControlConfig } from "./config.ts";
import { VARIABLES } from "./env-names.ts";
import type { Reader } from "./reader.ts";

/**
 * A controller's address and name. On loopback the name means nothing; elsewhere it is required, because nothing would
 * prove who answers.
 */
export function loadService(
  r: Reader,
  names: typeof VARIABLES.policyService,
  what: string,
): ControlAddr | undefined {
  const { addr: addrVariable, name: nameVariable } = names;
  const addr = r.optional(addrVariable);
  if (!r.isSet(addrVariable)) {
    if (r.isSet(nameVariable)) {
      r.problems.push(`${addrVariable.name} and ${nameVariable.name} must be specified together`);
    } else {
      r.problems.push(`no ${what} service configured: ${addrVariable.name} must be set`);
    }
    return undefined;
  }
  if (addr !== undefined && isLoopbackAddr(addr)) return { addr, name: undefined };
  const name = r.optional(nameVariable);
  // Whether an address that cannot be read is loopback nobody knows: its own problem is enough.
  if (addr !== undefined && !r.isSet(nameVariable)) {
    r.problems.push(
      `${addrVariable.name} and ${nameVariable.name} must be specified together: the address is not loopback`,
    );
  }
  return addr === undefined || name === undefined ? undefined : { addr, name };
}

/** The controllers and how their streams are limited; undefined after a problem. */
export function loadControl(r: Reader): ControlConfig | undefined {
  const V = VARIABLES;
  const destination = loadService(r, V.destinationService, "destination");
  const policy = loadService(r, V.policyService, "policy");
  const policyWorkload = r.required(V.policyWorkload);
  const initialMs = r.value(V.streamInitialTimeout);
  const idleMs = r.value(V.streamIdleTimeout);
  const lifetimeMs = r.value(V.streamLifetime);
  if ((initialMs ?? 0) > Math.min(idleMs ?? Infinity, lifetimeMs ?? Infinity)) {
    r.invalid(V.streamInitialTimeout, "it is above a later limit", "INITIAL <= IDLE <= LIFETIME");
  }
  if ((idleMs ?? 0) > (lifetimeMs ?? Infinity)) {
    r.invalid(V.streamIdleTimeout, "it is above the lifetime", "INITIAL <= IDLE <= LIFETIME");
  }
  const rest = {
    destinationContext: r.value(V.destinationContext),
    profileSuffixes: r.value(V.profileSuffixes),
    profileNetworks: r.value(V.profileNetworks),
    streamInitialTimeoutMs: initialMs,
    streamIdleTimeoutMs: idleMs,
    streamLifetimeMs: lifetimeMs,
    dnsMinTtlMs: r.optional(V.dnsMinTtl),
    dnsMaxTtlMs: r.optional(V.dnsMaxTtl),
  };
  if (destination === undefined || policy === undefined || policyWorkload === undefined) return undefined;
  return { destination, policy, policyWorkload, ...rest };
}
