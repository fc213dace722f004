import { cidrContains, type Cidr } from "../addr/cidr.ts";
import { hasDnsSuffix } from "../addr/dns-name.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { ClientPolicy, Profile } from "../policy/client-policy.ts";
import { invalidClientPolicy } from "../policy/invalid.ts";
import { synthesizeBalance, synthesizeForward, unknownEndpoint } from "../policy/synthesize.ts";
import type { Clock } from "../time/clock.ts";
import { mapWatch } from "../watch/map-watch.ts";
import { WatchCell, type Watch } from "../watch/watch.ts";
import { addrOf, formatTarget, type Target } from "./target.ts";

/** What the control plane says about a target; both parts go on following it. */
export interface Discovered {
  readonly policy: Watch<ClientPolicy>;
  readonly profile: Watch<Profile> | undefined;
}

export interface DiscoverOptions {
  /** Names whose profiles are asked for. */
  readonly profileSuffixes: readonly string[];
  /** Addresses whose profiles are asked for. */
  readonly profileNetworks: readonly Cidr[];
  readonly detectTimeoutMs: number;
  /**
   * Set for a gateway, whose targets peers of other clusters name: the profile is asked for whatever the name, without one
   * nothing is sent anywhere, and it is the profile that routes HTTP, even if all it says is where to.
   */
  readonly forGateway?: true;
}

/**
 * How long the profile of a name may come after its policy. The control plane is not away then; but while a Service does
 * not exist its profile never comes, and applications that name it should be told.
 */
const LATE_PROFILE_MS = 500;

/**
 * Looks a target up: profile and policy in parallel, and waits for both.
 *
 * There is no limit on the wait: while the control plane is away, whoever dials an unknown destination waits until it
 * gives up itself. Where the control plane has no policy, one is made up from the profile or from the address.
 *
 * @throws ProxyError if the target can never be reached by what the control plane says.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{discover,sidecar,ingress}.rs and linkerd/app/gateway/src/discover.rs.
 */
export async function discover(
  control: ControlPlane,
  target: Target,
  options: DiscoverOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Discovered> {
  const addr = addrOf(target);
  const asks = options.forGateway === true || mayHaveProfile(target, options);
  const unknown = Promise.withResolvers<void>();
  const coming = asks ? control.watchProfile(addr, signal, unknown.resolve) : undefined;
  const lookup = await control.watchOutboundPolicy(addr, signal);
  // Nothing that a profile could say would change it.
  if (lookup.kind === "failed") throw lookup.error;
  // A gateway cannot do without, and has policies also for Services that do not exist: only the control plane's word ends
  // its wait.
  const mayGiveUp = options.forGateway === true ? unknown.promise : Promise.resolve();
  const profile = await (target.kind === "name" && coming !== undefined
    ? soon(coming, clock, mayGiveUp)
    : coming);
  if (options.forGateway === true && profile === undefined) {
    const problem = `${formatTarget(target)}: there is no service of this name`;
    throw new ProxyError("gateway_domain_invalid", problem, { side: "proxy" });
  }
  switch (lookup.kind) {
    case "found":
      return { policy: lookup.watch, profile };
    case "not_found":
      return { policy: synthesize(target, profile, options, signal), profile };
    default:
      return lookup satisfies never;
  }
}

/** What was promised, or undefined once that has taken too long and may be given up. */
function soon<T>(promise: Promise<T>, clock: Clock, mayGiveUp: Promise<void>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(LATE_PROFILE_MS, () => void mayGiveUp.then(() => resolve(undefined)));
    promise.finally(() => timer.cancel()).then(resolve, reject);
  });
}

function mayHaveProfile(target: Target, options: DiscoverOptions): boolean {
  if (target.kind === "addr") return options.profileNetworks.some((net) => cidrContains(net, target.addr.ip));
  return options.profileSuffixes.some((suffix) => hasDnsSuffix(target.name.name, suffix));
}

function synthesize(
  target: Target,
  profile: Watch<Profile> | undefined,
  { detectTimeoutMs, forGateway }: DiscoverOptions,
  signal: AbortSignal,
): Watch<ClientPolicy> {
  if (forGateway === true && profile !== undefined) return gatewayPolicy(profile, detectTimeoutMs, signal);
  if (target.kind === "addr") {
    const toTarget = unknownEndpoint(target.addr);
    if (profile === undefined) return new WatchCell(synthesizeForward("fallback", toTarget, detectTimeoutMs));
    return mapWatch(profile, signal, ({ endpoint }) =>
      synthesizeForward("endpoint", endpoint ?? toTarget, detectTimeoutMs),
    );
  }
  const unknown = new ProxyError(
    "fail_dispatcher",
    `${formatTarget(target)}: the control plane does not know this name`,
  );
  if (profile === undefined) throw unknown;
  const first = profilePolicy(profile.value, detectTimeoutMs);
  if (first === undefined) throw unknown;
  // A profile that stops naming anything leaves what it named before in force.
  let latest = first;
  return mapWatch(profile, signal, (value) => (latest = profilePolicy(value, detectTimeoutMs) ?? latest));
}

/** Where a profile without a name sends what comes through a gateway. */
export function gatewayPolicy(
  profile: Watch<Profile>,
  detectTimeoutMs: number,
  signal: AbortSignal,
): Watch<ClientPolicy> {
  return mapWatch(profile, signal, ({ endpoint }) =>
    endpoint === undefined
      ? invalidClientPolicy(detectTimeoutMs)
      : synthesizeForward("gateway", endpoint, detectTimeoutMs),
  );
}

function profilePolicy({ endpoint, logical }: Profile, detectTimeoutMs: number): ClientPolicy | undefined {
  if (endpoint !== undefined) return synthesizeForward("endpoint", endpoint, detectTimeoutMs);
  if (logical !== undefined) return synthesizeBalance("profile", logical, detectTimeoutMs);
  return undefined;
}
