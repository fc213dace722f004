import { cidrContains } from "../../addr/cidr.ts";
import { ipFromBytes, type Ip } from "../../addr/ip.ts";
import type { Network } from "../../policy/server-policy.ts";
import type { EgressNetwork } from "../resources/egress-network.ts";
import type { Problem } from "../resources/problem.ts";
import type { ResourceSet } from "../resources/resource-set.ts";
import type { ClusterSettings } from "./settings.ts";

/** Which addresses EgressNetworks cover. Source: linkerd2, policy-controller/k8s/index/src/outbound/index/egress_network.rs. */

/**
 * The network that speaks for an address: of those of the caller's namespace if there are any, else of the namespace
 * whose networks hold for all. The smallest block wins, then the first of the list.
 *
 * @param networks oldest first.
 * @param inside the address is known to belong to the cluster: only a network that names its block speaks for it.
 */
export function egressNetworkFor(
  networks: readonly EgressNetwork[],
  settings: ClusterSettings,
  ip: Ip,
  caller: string,
  inside: boolean,
): EgressNetwork | undefined {
  const own = networks.filter((network) => network.meta.namespace === caller);
  const global = settings.globalEgressNamespace;
  const candidates = own.length > 0 ? own : networks.filter(({ meta }) => meta.namespace === global);
  let best: EgressNetwork | undefined;
  let smallest = Infinity;
  for (const candidate of candidates) {
    if (inside && candidate.networks === undefined) continue;
    for (const block of blocksOf(candidate, settings)) {
      if (!covers(block, ip) || blockSize(block) >= smallest) continue;
      best = candidate;
      smallest = blockSize(block);
    }
  }
  return best;
}

/** Whether a network reaches into the cluster. Such a one takes no routes; its traffic policy holds all the same. */
export function overlapsCluster(network: EgressNetwork, settings: ClusterSettings): boolean {
  return blocksOf(network, settings).some((block) =>
    settings.clusterNetworks.some(
      (inside) =>
        (contains(block.net, inside) || contains(inside, block.net)) &&
        !block.except.some((except) => contains(except, inside)),
    ),
  );
}

/** Tells networks whose routes have no effect. It is not known from the manifests alone. */
export function findOverlaps(resources: ResourceSet, settings: ClusterSettings): readonly Problem[] {
  const text =
    "found a part of the cluster's own networks, expected none: routes of this network have no effect";
  return resources
    .ofKind("EgressNetwork")
    .filter((network) => overlapsCluster(network, settings))
    .map((network) => ({ ...network.origin, field: "spec.networks", text }));
}

const EVERYTHING: readonly Ip[] = [ipFromBytes(new Uint8Array(4)), ipFromBytes(new Uint8Array(16))];

/** A network without blocks is everything outside the cluster. */
function blocksOf(network: EgressNetwork, settings: ClusterSettings): readonly Network[] {
  if (network.networks !== undefined) return network.networks;
  return EVERYTHING.map((ip) => ({
    net: { ip, prefix: 0 },
    except: settings.clusterNetworks.filter((inside) => inside.ip.version === ip.version),
  }));
}

function covers({ net, except }: Network, ip: Ip): boolean {
  return cidrContains(net, ip) && !except.some((block) => cidrContains(block, ip));
}

function contains(outer: Network["net"], inner: Network["net"]): boolean {
  return outer.prefix <= inner.prefix && cidrContains(outer, inner.ip);
}

/** Addresses of a block less its exceptions, which are taken not to overlap. */
function blockSize({ net, except }: Network): number {
  return except.reduce((size, block) => size - addresses(block), addresses(net));
}

function addresses({ ip, prefix }: Network["net"]): number {
  return 2 ** (ip.bytes.length * 8 - prefix);
}
