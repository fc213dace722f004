import { parseIp, type Ip } from "../../addr/ip.ts";
import { report } from "./found.ts";
import { readMirror, type Mirror } from "./mirror.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  anything,
  BAD,
  boolean,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  required,
  text,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";
import { labelName, resourceName } from "./words.ts";

/** Addresses behind a Service, as discovery.k8s.io has them. */
export interface EndpointSlice extends Resource, AddressGroup {
  readonly kind: "EndpointSlice";
  /** The Service of the same namespace; undefined: the slice belongs to nobody. */
  readonly service: string | undefined;
  /** Addresses are host names, which the mesh does not use. */
  readonly names: boolean;
}

/** Addresses that share their ports. */
export interface AddressGroup {
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly SlicePort[];
  /** Set where the addresses are gateways of another cluster. */
  readonly mirror: Mirror | undefined;
}

export interface SliceEndpoint {
  readonly addresses: readonly Ip[];
  readonly ready: boolean;
  readonly hostname: string | undefined;
  readonly nodeName: string | undefined;
  readonly zone: string | undefined;
  readonly target: { readonly kind: string; readonly name: string; readonly namespace: string } | undefined;
}

export interface SlicePort {
  readonly name: string;
  /** Undefined: all ports, which names none. */
  readonly port: number | undefined;
}

/** What stands behind an address: a Pod or an ExternalWorkload. */
export const targetRef = object({
  kind: required(text),
  name: required(resourceName),
  namespace: optional(labelName),
  apiVersion: optional(text),
  uid: optional(anything),
  resourceVersion: optional(anything),
  fieldPath: optional(anything),
});

const sliceEndpoint = object({
  addresses: required(listOf(text, { min: 1, max: 100 })),
  conditions: optional(
    object({ ready: optional(boolean), serving: optional(boolean), terminating: optional(boolean) }),
  ),
  hostname: optional(labelName),
  nodeName: optional(text),
  zone: optional(text),
  hints: optional(anything),
  deprecatedTopology: optional(anything),
  targetRef: optional(targetRef),
});

export const slicePort: Reader<SlicePort> = refine(
  object({
    name: withDefault(text, ""),
    port: optional(integer(1, 65535)),
    protocol: withDefault(oneOf("TCP", "UDP", "SCTP"), "TCP"),
    appProtocol: optional(text),
  }),
  (value) => ({ name: value.name, port: value.port }),
);

const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

/** discovery.k8s.io/v1 EndpointSlice. Its fields stand beside `metadata`: it has no spec. */
export const readEndpointSlice: Reader<EndpointSlice> = resource(
  {
    addressType: required(oneOf("IPv4", "IPv6", "FQDN")),
    endpoints: withDefault(listOf(sliceEndpoint), []),
    ports: withDefault(listOf(slicePort, { max: 100 }), []),
  },
  (base, slice, document) => {
    const names = slice.addressType === "FQDN";
    const endpoints: SliceEndpoint[] = [];
    let good = true;
    for (const [index, endpoint] of slice.endpoints.entries()) {
      const addresses: Ip[] = [];
      for (const [which, address] of endpoint.addresses.entries()) {
        if (names) continue;
        const parsedIp = ipOfType(address, slice.addressType);
        if (parsedIp === undefined) {
          const path = `endpoints[${index}].addresses[${which}]`;
          report(
            { ...document, path },
            `found "${address}", expected an address of type ${slice.addressType}`,
          );
          good = false;
        } else {
          addresses.push(parsedIp);
        }
      }
      const { targetRef } = endpoint;
      endpoints.push({
        addresses,
        ready: endpoint.conditions?.ready ?? true,
        hostname: endpoint.hostname,
        nodeName: endpoint.nodeName,
        zone: endpoint.zone,
        target: targetRef && {
          kind: targetRef.kind,
          name: targetRef.name,
          namespace: targetRef.namespace ?? base.meta.namespace,
        },
      });
    }
    const mirror = readMirror(document, base.meta);
    if (!good || mirror === BAD) return BAD;
    const service = base.meta.labels.get(SERVICE_NAME_LABEL);
    return { ...base, kind: "EndpointSlice", service, names, endpoints, ports: slice.ports, mirror };
  },
);

function ipOfType(address: string, type: string): Ip | undefined {
  const value = parseIp(address);
  return value.ok && type === `IPv${value.value.version}` ? value.value : undefined;
}
