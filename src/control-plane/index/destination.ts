import type { WeightedAddr } from "../../proto/gen/destination_pb.js";
import { parseContextToken } from "./caller.ts";
import type { Mirror } from "../resources/mirror.ts";
import type { Cluster } from "./cluster.ts";
import { endpointsOf } from "./endpoints.ts";
import { answer, noAnswer, type Lookup } from "./lookup.ts";
import { parseServiceName, parseTarget } from "./service-name.ts";

/** All endpoints behind a name, by `ip:port`, and the labels they share. */
export interface EndpointSet {
  readonly labels: Readonly<Record<string, string>>;
  readonly endpoints: ReadonlyMap<string, WeightedAddr>;
}

/** Answers `Destination.Get`. Source: linkerd2, controller/api/destination/server.go. */
export function findEndpoints(cluster: Cluster, path: string, contextToken: string): Lookup<EndpointSet> {
  const target = parseTarget(path);
  if (!target.ok) return noAnswer("invalid_argument", target.problem);
  const name = parseServiceName(target.value.host, cluster.settings.clusterDomain);
  if (!name.ok) return noAnswer("invalid_argument", name.problem);
  const service = cluster.service(name.value.namespace, name.value.name);
  if (service === undefined) {
    return noAnswer("not_found", `there is no service ${name.value.namespace}/${name.value.name}`);
  }
  if (service.external)
    return noAnswer("invalid_argument", "a service of type ExternalName has no endpoints");
  const { nodeName } = parseContextToken(contextToken);
  const query = { port: target.value.port, instance: name.value.instance, nodeName };
  return answer({
    labels: {
      service: service.meta.name,
      namespace: service.meta.namespace,
      ...mirrorLabels(cluster.addressesOf(service).find(({ mirror }) => mirror !== undefined)?.mirror),
    },
    endpoints: endpointsOf(cluster, service, query),
  });
}

/** Where the traffic of a mirrored service really goes. Source: linkerd2, controller/api/destination/watcher/port_publisher.go. */
function mirrorLabels(mirror: Mirror | undefined): Readonly<Record<string, string>> {
  if (mirror?.cluster === undefined) return {};
  const [service, namespace] = mirror.service?.split(".") ?? [];
  return {
    target_cluster: mirror.cluster,
    ...(service === undefined || namespace === undefined
      ? {}
      : { target_service: service, target_service_namespace: namespace }),
  };
}
