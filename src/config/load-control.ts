import { isLoopbackAddr } from "../addr/name-addr.ts";
import type { DnsName } from "../addr/dns-name.ts";
import type { Id } from "../identity/id.ts";
import type { ControlAddr, ControlConfig, IdentityConfig } from "./config.ts";
import { VARIABLES } from "./env-names.ts";
import type { Files, Reader } from "./reader.ts";

/**
 * A controller's address and name. On loopback the name means nothing; elsewhere it is required, because nothing would
 * prove who answers.
 */
function loadService(
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

/** Who we are; undefined after a problem. */
export function loadIdentity(r: Reader, files: Files): IdentityConfig | undefined {
  const V = VARIABLES;
  refuseUnsupported(r);
  const names = loadNames(r);
  const trustAnchorsPem = r.required(V.trustAnchors);
  const service = loadService(r, V.identityService, "identity");
  const dir = r.required(V.dir);
  if (dir !== undefined && !files.isDirectory(dir))
    r.invalid(V.dir, "it is not a directory", "an existing directory");
  const tokenFile = r.required(V.tokenFile);
  if (tokenFile !== undefined) checkToken(r, files.size(tokenFile));
  const minRefreshMs = r.value(V.minRefresh);
  const maxRefreshMs = r.value(V.maxRefresh);
  if (minRefreshMs > maxRefreshMs) {
    r.invalid(V.minRefresh, "it is above the longest pause", `at most ${V.maxRefresh.name}`);
  }
  if (
    names === undefined ||
    trustAnchorsPem === undefined ||
    service === undefined ||
    dir === undefined ||
    tokenFile === undefined
  ) {
    return undefined;
  }
  return { ...names, trustAnchorsPem, service, dir, tokenFile, minRefreshMs, maxRefreshMs };
}

function checkToken(r: Reader, bytes: number | undefined): void {
  if (bytes === undefined) r.invalid(VARIABLES.tokenFile, "it cannot be read", "a readable file");
  else if (bytes === 0) r.invalid(VARIABLES.tokenFile, "the file is empty", "a file with a token");
}

function refuseUnsupported(r: Reader): void {
  const V = VARIABLES;
  if ((r.optional(V.identityDisabled) ?? "") !== "") {
    r.invalid(V.identityDisabled, "identity cannot be disabled", "it to be unset");
  }
  for (const variable of [V.spireAddr, V.spireSocket]) {
    if (r.isSet(variable)) {
      r.invalid(variable, "identities from SPIRE are not supported by this build", "it to be unset");
    }
  }
}

function loadNames(r: Reader): { readonly id: Id; readonly serverName: DnsName } | undefined {
  const V = VARIABLES;
  if (r.isSet(V.localName)) {
    const name = r.optional(V.localName);
    return name === undefined ? undefined : { id: { kind: "dns", text: name }, serverName: name };
  }
  if (!r.isSet(V.serverId) && !r.isSet(V.serverName)) {
    r.problems.push(`${V.localName.name} must be set: ${V.localName.sentence}`);
    return undefined;
  }
  const id = r.required(V.serverId);
  const serverName = r.required(V.serverName);
  if (id === undefined || serverName === undefined) return undefined;
  if (id.kind !== "dns" || id.text !== serverName) {
    const reason = "linkerd identity requires a TLS Id and server name to be the same";
    r.invalid(V.serverId, reason, `the value of ${V.serverName.name}, a DNS name`);
  }
  return { id, serverName };
}
