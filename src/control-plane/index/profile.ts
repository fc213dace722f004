import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parseIp, type Ip } from "../../addr/ip.ts";
import { portRangesContain } from "../../addr/port-ranges.ts";
import {
  DestinationProfileSchema,
  type DestinationProfile,
  type RetryBudgetSchema,
} from "../../proto/gen/destination_pb.js";
import type { Service } from "../resources/service.ts";
import { parseContextToken } from "./caller.ts";
import type { Cluster } from "./cluster.ts";
import { endpointsOf, weightedAddr } from "./endpoints.ts";
import { answer, noAnswer, type Lookup } from "./lookup.ts";
import { duration, resourceMeta, serviceMeta } from "./messages.ts";
import { profileFields } from "./profile-fields.ts";
import { parseServiceName, parseTarget } from "./service-name.ts";
import { serviceDomain } from "./settings.ts";

/** Source: linkerd2, controller/api/destination/profile_translator.go. */
const RETRY_BUDGET: MessageInitShape<typeof RetryBudgetSchema> = {
  retryRatio: 0.2,
  minRetriesPerSecond: 10,
  ttl: duration(10_000),
};

/** What the controllers say where there is no ServiceProfile. */
const NO_PROFILE = resourceMeta({ group: "linkerd.io", kind: "", name: "" });

/** Answers `Destination.GetProfile` for an address or a name. Source: linkerd2, controller/api/destination/server.go. */
export function findProfile(cluster: Cluster, path: string, contextToken = ""): Lookup<DestinationProfile> {
  const target = parseTarget(path);
  if (!target.ok) return noAnswer("invalid_argument", target.problem);
  const caller = parseContextToken(contextToken).namespace;
  const { host, port } = target.value;
  const ip = parseIp(host);
  if (ip.ok) {
    const service = cluster.serviceWithIp(ip.value.text);
    return service === undefined
      ? addressProfile(cluster, ip.value, port)
      : answer(serviceProfile(cluster, service, port, caller));
  }
  const name = parseServiceName(host, cluster.settings.clusterDomain);
  if (!name.ok) return noAnswer("invalid_argument", name.problem);
  const { namespace, name: serviceName, instance } = name.value;
  const service = cluster.service(namespace, serviceName);
  // Unknown and not NotFound: the client then asks again, and finds the service once it exists.
  if (service === undefined) return noAnswer("unknown", `there is no service ${namespace}/${serviceName}`);
  if (instance === undefined) return answer(serviceProfile(cluster, service, port, caller));
  const endpoints = endpointsOf(cluster, service, { port, instance, nodeName: "" });
  const [endpoint] = endpoints.values();
  if (endpoint === undefined)
    return noAnswer("not_found", `${namespace}/${serviceName} has no instance ${instance}`);
  delete endpoint.metricLabels["zone_locality"];
  endpoint.metricLabels["namespace"] = namespace;
  const opaque = endpoint.protocolHint?.protocol.case === "opaque";
  return answer(
    create(DestinationProfileSchema, { retryBudget: RETRY_BUDGET, endpoint, opaqueProtocol: opaque }),
  );
}

/** A port that the service does not define gives an empty profile, which says nothing: the policy decides. */
function serviceProfile(
  cluster: Cluster,
  service: Service,
  port: number,
  caller: string,
): DestinationProfile {
  const { name, namespace } = service.meta;
  if (service.ports.length > 0 && !service.ports.some((p) => p.port === port)) {
    return create(DestinationProfileSchema, {});
  }
  const fullyQualifiedName = serviceDomain(cluster.settings, namespace, name);
  // A client's own profile of the service counts before the service's.
  const profile =
    cluster.serviceProfile(caller, fullyQualifiedName) ??
    cluster.serviceProfile(namespace, fullyQualifiedName);
  return create(DestinationProfileSchema, {
    fullyQualifiedName,
    retryBudget: RETRY_BUDGET,
    parentRef: serviceMeta(namespace, name, port),
    ...(profile === undefined ? { profileRef: NO_PROFILE } : profileFields(profile, port)),
    opaqueProtocol: isOpaqueService(cluster, service, port),
  });
}

export function isOpaqueService(cluster: Cluster, service: Service, port: number): boolean {
  return portRangesContain(service.opaquePorts ?? cluster.settings.defaultOpaquePorts, port);
}

function addressProfile(cluster: Cluster, ip: Ip, port: number): Lookup<DestinationProfile> {
  const workloads = cluster.workloadsAt(ip.text, port);
  if (workloads.length > 1) {
    const names = workloads.map((w) => `${w.meta.namespace}/${w.meta.name}`).join(", ");
    return noAnswer("failed_precondition", `several workloads have ${ip.text}:${port}: ${names}`);
  }
  const [workload] = workloads;
  const labels = new Map(workload === undefined ? [] : [["namespace", workload.meta.namespace] as const]);
  const endpoint = weightedAddr(cluster, { ip, port, workload, pod: undefined, zone: undefined }, labels);
  return answer(
    create(DestinationProfileSchema, {
      retryBudget: RETRY_BUDGET,
      endpoint,
      opaqueProtocol:
        workload === undefined
          ? portRangesContain(cluster.settings.defaultOpaquePorts, port)
          : cluster.isOpaque(workload, port),
    }),
  );
}
