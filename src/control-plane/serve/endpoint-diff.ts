import { create, toBinary } from "@bufbuild/protobuf";
import {
  UpdateSchema,
  WeightedAddrSchema,
  type Update,
  type WeightedAddr,
} from "../../proto/gen/destination_pb.js";
import type { EndpointSet } from "../index/destination.ts";
import { nothing, type Step } from "./open-streams.ts";

const NO_ENDPOINTS: EndpointSet = { labels: {}, endpoints: new Map() };

/** Tells a client how a set of endpoints changes: new and changed ones as `add`, gone ones as `remove`, never `no_endpoints`. */
export class EndpointDiff {
  #sent: ReadonlyMap<string, { readonly endpoint: WeightedAddr; readonly bytes: Uint8Array }> = new Map();

  /** @param set undefined if the service is gone: all its endpoints are then. */
  next(set: EndpointSet | undefined): Step<Update> {
    const { labels, endpoints } = set ?? NO_ENDPOINTS;
    const now = new Map(
      [...endpoints].map(
        ([key, endpoint]) => [key, { endpoint, bytes: toBinary(WeightedAddrSchema, endpoint) }] as const,
      ),
    );
    const before = this.#sent;
    this.#sent = now;
    const added = [...now].filter(([key, { bytes }]) => {
      const old = before.get(key);
      return old === undefined || Buffer.compare(old.bytes, bytes) !== 0;
    });
    const removed = [...before].filter(([key]) => !now.has(key));
    if (added.length === 0 && removed.length === 0) return nothing();
    const messages: Update[] = [];
    if (added.length > 0) {
      const addrs = added.map(([, { endpoint }]) => endpoint);
      messages.push(
        create(UpdateSchema, { update: { case: "add", value: { addrs, metricLabels: { ...labels } } } }),
      );
    }
    if (removed.length > 0) {
      const addrs = removed.flatMap(([, { endpoint }]) =>
        endpoint.addr === undefined ? [] : [endpoint.addr],
      );
      messages.push(create(UpdateSchema, { update: { case: "remove", value: { addrs } } }));
    }
    return { kind: "send", messages };
  }
}
