import { withoutTrailingDot } from "../../addr/dns-name.ts";
import { parseIp } from "../../addr/ip.ts";
import { splitHostPort } from "../../addr/name-addr.ts";
import { parsePort } from "../../addr/port.ts";
import { parsed, unparsed, type Parsed } from "../../parsed.ts";

/** A service, or one instance of it, as a name of the cluster's DNS tells it. */
export interface ServiceName {
  readonly name: string;
  readonly namespace: string;
  /** The host name of one endpoint. */
  readonly instance: string | undefined;
}

/** A port without a number means this one. */
const DEFAULT_PORT = 80;

/** Splits what a client asks for into a host and a port from 1. */
export function parseTarget(path: string): Parsed<{ readonly host: string; readonly port: number }> {
  const split = splitHostPort(path);
  if (!split.ok) return split;
  const { host, portText } = split.value;
  if (portText === undefined) return parsed({ host, port: DEFAULT_PORT });
  const port = parsePort(portText);
  if (!port.ok) return port;
  return port.value === 0 ? unparsed(`"${path}": port 0 means nothing`) : parsed({ host, port: port.value });
}

/** Reads `web.shop.svc.cluster.local` or `web-0.web.shop.svc.cluster.local`. */
export function parseServiceName(host: string, clusterDomain: string): Parsed<ServiceName> {
  if (parseIp(host).ok) return unparsed(`"${host}" is an address, expected a service name`);
  const bare = withoutTrailingDot(host.toLowerCase());
  const suffix = `.svc.${clusterDomain}`;
  if (!bare.endsWith(suffix)) return unparsed(`"${host}" does not end in ${suffix}`);
  const labels = bare.slice(0, -suffix.length).split(".");
  const namespace = labels.at(-1);
  const name = labels.at(-2);
  if (namespace === undefined || name === undefined || labels.length > 3 || labels.includes("")) {
    return unparsed(`"${host}" is not the name of a service, such as web.shop${suffix}`);
  }
  return parsed({ name, namespace, instance: labels.length === 3 ? labels[0] : undefined });
}

/** Reads the start of an authority: `web.shop.svc`, with anything behind. Undefined: it does not name a service. */
export function serviceOfAuthority(host: string): Omit<ServiceName, "instance"> | undefined {
  const [name, namespace, svc] = host.toLowerCase().split(".");
  return name && namespace && svc === "svc" ? { name, namespace } : undefined;
}
