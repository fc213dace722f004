import { parseDnsName, type DnsName } from "../../addr/dns-name.ts";
import { parseId, type Id } from "../../identity/id.ts";
import { unparsed, type Parsed } from "../../parsed.ts";
import type { Found } from "./found.ts";
import { annotation, type ObjectMeta } from "./object-meta.ts";
import { BAD, parsedText, type Bad } from "./reader.ts";

/**
 * What the service mirror of `linkerd multicluster` writes on addresses that are gateways of another cluster.
 *
 * Source: linkerd2, pkg/k8s/labels.go and multicluster/service-mirror/cluster_watcher.go.
 */
export interface Mirror {
  /** The other cluster; undefined: the labels of metrics do not tell. */
  readonly cluster: string | undefined;
  /** The service there, `web.shop.svc.cluster.local`; undefined for the gateway's own probe service. */
  readonly service: DnsName | undefined;
  /** Who must answer. Without it the gateway is not spoken to by TLS, and refuses. */
  readonly gatewayIdentity: Id | undefined;
}

const CLUSTER_LABEL = "mirror.linkerd.io/cluster-name";
const SERVICE_ANNOTATION = "mirror.linkerd.io/remote-svc-fq-name";
const IDENTITY_ANNOTATION = "mirror.linkerd.io/remote-gateway-identity";

const serviceName = parsedText("the DNS name of a service", parseDnsName);
const dnsIdentity = parsedText("a DNS identity", parseDnsId);

/** Undefined: the addresses are no gateways. */
export function readMirror(document: Found, { labels }: ObjectMeta): Mirror | undefined | Bad {
  const service = annotation(document, SERVICE_ANNOTATION, serviceName);
  const gatewayIdentity = annotation(document, IDENTITY_ANNOTATION, dnsIdentity);
  if (service === BAD || gatewayIdentity === BAD) return BAD;
  const cluster = labels.get(CLUSTER_LABEL);
  if (service === undefined && gatewayIdentity === undefined && cluster === undefined) return undefined;
  return { cluster, service, gatewayIdentity };
}

function parseDnsId(text: string): Parsed<Id> {
  const id = parseId(text);
  return !id.ok || id.value.kind === "dns" ? id : unparsed(`"${text}" is not a DNS name`);
}
