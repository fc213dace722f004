import type { AddressGroup, SliceEndpoint } from "./endpoint-slice.ts";
import { slicePort, targetRef } from "./endpoint-slice.ts";
import { readMirror } from "./mirror.ts";
import { resource, type Resource } from "./object-meta.ts";
import { BAD, listOf, object, optional, required, text, withDefault, type ObjectOf } from "./reader.ts";
import { ip, labelName } from "./words.ts";

/**
 * Addresses behind the Service of the same name, as the core group has them. Service mirrors still write these; where a
 * Service has EndpointSlices too, those count.
 */
export interface Endpoints extends Resource {
  readonly kind: "Endpoints";
  readonly groups: readonly AddressGroup[];
}

const fields = {
  ip: required(ip),
  hostname: optional(labelName),
  nodeName: optional(text),
  targetRef: optional(targetRef),
};
type Address = ObjectOf<typeof fields>;
const addresses = withDefault(listOf(object(fields)), []);

const subset = object({
  addresses,
  notReadyAddresses: addresses,
  ports: withDefault(listOf(slicePort, { max: 100 }), []),
});

/** Core v1 Endpoints. Source: Kubernetes API reference. */
export const readEndpoints = resource(
  { subsets: withDefault(listOf(subset), []) },
  (base, { subsets }, document): Endpoints | typeof BAD => {
    const mirror = readMirror(document, base.meta);
    if (mirror === BAD) return BAD;
    const endpoint = (address: Address, ready: boolean): SliceEndpoint => ({
      addresses: [address.ip],
      ready,
      hostname: address.hostname,
      nodeName: address.nodeName,
      zone: undefined,
      target: address.targetRef && {
        kind: address.targetRef.kind,
        name: address.targetRef.name,
        namespace: address.targetRef.namespace ?? base.meta.namespace,
      },
    });
    const groups = subsets.map((group) => ({
      endpoints: [
        ...group.addresses.map((address) => endpoint(address, true)),
        ...group.notReadyAddresses.map((address) => endpoint(address, false)),
      ],
      ports: group.ports,
      mirror,
    }));
    return { ...base, kind: "Endpoints", groups };
  },
);
