import { create } from "@bufbuild/protobuf";
import { cidrContains } from "../../addr/cidr.ts";
import { portRangesContain } from "../../addr/port-ranges.ts";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import { OutboundPolicySchema, type OutboundPolicy, type TrafficSpec } from "../../proto/gen/outbound_pb.js";
import type { EgressNetwork } from "../resources/egress-network.ts";
import type { RouteAnnotations } from "../resources/route-annotations.ts";
import type { Service } from "../resources/service.ts";
import { egressBackend, serviceBackend } from "./backends.ts";
import { parseWorkload } from "./caller.ts";
import type { Cluster } from "./cluster.ts";
import { egressNetworkFor } from "./egress-networks.ts";
import { egressFallbackPolicy, undefinedPortPolicy } from "./fallback-policies.ts";
import { answer, noAnswer, type Lookup } from "./lookup.ts";
import { egressMeta, ipOfMessage, serviceMeta } from "./messages.ts";
import { policyProtocol, type AppProtocol } from "./policy-protocol.ts";
import { isOpaqueService } from "./profile.ts";
import { parseTarget, serviceOfAuthority } from "./service-name.ts";

/** Answers `OutboundPolicies.Get` and `.Watch`. Source: linkerd2, policy-controller/grpc/src/outbound.rs. */
export function findOutboundPolicy(cluster: Cluster, spec: TrafficSpec): Lookup<OutboundPolicy> {
  const caller = parseWorkload(spec.sourceWorkload);
  if (!caller.ok) return noAnswer("invalid_argument", caller.problem);
  const { namespace } = caller.value;
  switch (spec.target.case) {
    case "addr": {
      const { ip: ipMessage, port } = spec.target.value;
      const ip = ipOfMessage(ipMessage);
      if (ip === undefined) return noAnswer("invalid_argument", "the target address has no IP");
      if (port < 1 || port > 65535)
        return noAnswer("invalid_argument", `the target port ${port} is not a port`);
      return policyOfAddress(cluster, { ip, port }, namespace);
    }
    case "authority": {
      const target = parseTarget(spec.target.value);
      if (!target.ok) return noAnswer("invalid_argument", target.problem);
      const { host, port } = target.value;
      const name = serviceOfAuthority(host);
      if (name === undefined) return noAnswer("not_found", `"${host}" does not name a service`);
      return answer(servicePolicy(cluster, name.namespace, name.name, port, namespace));
    }
    default:
      return noAnswer("invalid_argument", "the request has no target");
  }
}

function policyOfAddress(cluster: Cluster, addr: SocketAddr, caller: string): Lookup<OutboundPolicy> {
  const service = cluster.serviceWithIp(addr.ip.text);
  if (service !== undefined) {
    const { namespace, name } = service.meta;
    const defined = service.ports.some((p) => p.port === addr.port);
    if (!defined) return answer(undefinedPortPolicy(namespace, name, addr.port));
    return answer(servicePolicy(cluster, namespace, name, addr.port, caller));
  }
  const { settings, egressNetworks } = cluster;
  // A workload may live outside the cluster networks and belongs to the cluster all the same, unless a network names
  // its address. The fallback would send it clear text; without a policy the proxy takes the endpoint of the profile,
  // which knows the workload's identity.
  const isWorkload = cluster.workloadsAt(addr.ip.text, addr.port).length > 0;
  const network = egressNetworkFor(egressNetworks, settings, addr.ip, caller, isWorkload);
  if (network !== undefined) return answer(egressPolicy(cluster, network, addr, caller));
  if (isWorkload || settings.clusterNetworks.some((block) => cidrContains(block, addr.ip))) {
    return noAnswer("not_found", `${addr.ip.text} belongs to no service`);
  }
  return answer(egressFallbackPolicy(addr));
}

const NO_ANNOTATIONS: RouteAnnotations = {
  timeouts: { request: undefined, response: undefined, idle: undefined },
  httpRetry: undefined,
  grpcRetry: undefined,
};

/** A name is answered even if no such service exists: its balancer then waits for one. */
function servicePolicy(
  cluster: Cluster,
  namespace: string,
  name: string,
  port: number,
  caller: string,
): OutboundPolicy {
  const service = cluster.service(namespace, name);
  const appProtocol = service && serviceProtocol(cluster, service, port);
  const loadPenalty = service?.loadPenalty;
  // Opaque traffic has no responses that could count as failures.
  const ownPenalty = appProtocol === "opaque" ? undefined : loadPenalty;
  const protocol = policyProtocol(cluster, {
    parent: {
      kind: "Service",
      namespace,
      name,
      backend: serviceBackend(cluster, namespace, name, port, ownPenalty),
      defaults: service?.routeDefaults ?? NO_ANNOTATIONS,
      loadPenalty,
    },
    port,
    appProtocol,
    failureAccrual: service?.failureAccrual,
    caller,
  });
  return create(OutboundPolicySchema, {
    metadata: serviceMeta(namespace, name, port),
    protocol: { kind: protocol },
  });
}

/** What a port declares counts before the annotation of opaque ports. */
function serviceProtocol(cluster: Cluster, service: Service, port: number): AppProtocol {
  const declared = service.ports.find((p) => p.port === port)?.appProtocol;
  if (declared === "http") return "http1";
  if (declared === "kubernetes.io/h2c") return "http2";
  return declared !== undefined || isOpaqueService(cluster, service, port) ? "opaque" : undefined;
}

/** An address that an EgressNetwork covers: forwarded as it is, if route or network allow it. */
function egressPolicy(
  cluster: Cluster,
  network: EgressNetwork,
  dst: SocketAddr,
  caller: string,
): OutboundPolicy {
  const { namespace, name } = network.meta;
  const { port } = dst;
  const opaque = portRangesContain(network.opaquePorts ?? cluster.settings.defaultOpaquePorts, port);
  const protocol = policyProtocol(cluster, {
    parent: {
      kind: "EgressNetwork",
      namespace,
      name,
      trafficPolicy: network.trafficPolicy,
      dst,
      backend: egressBackend(namespace, name, port, dst, 1),
      defaults: network.routeDefaults,
      loadPenalty: undefined,
    },
    port,
    appProtocol: opaque ? "opaque" : undefined,
    failureAccrual: network.failureAccrual,
    caller,
  });
  return create(OutboundPolicySchema, {
    metadata: egressMeta(namespace, name, port),
    protocol: { kind: protocol },
  });
}
