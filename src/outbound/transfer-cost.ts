import type { Families } from "../metrics/families.ts";
import { transferCostLabels } from "../metrics/labels.ts";
import type { ByteCounters } from "../transport/transport-metrics.ts";

/** Where a peer is, as the label `zone_locality` shows it. */
export type ZoneLocality = "Unknown" | "Local" | "Remote";

/** What discovery says of an endpoint's zone, under this name among the labels of the endpoint. */
const ZONE_LOCALITY = "zone_locality";

/** Source: linkerd2-proxy, linkerd/app/core/src/metrics.rs (OutboundZoneLocality). */
export function zoneLocality(labels: readonly (readonly [string, string])[]): ZoneLocality {
  const told = labels.find(([name]) => name === ZONE_LOCALITY)?.[1].toLowerCase();
  if (told === "local") return "Local";
  return told === "remote" ? "Remote" : "Unknown";
}

/**
 * `outbound_tcp_transfer_cost_bytes_total`: bytes exchanged with servers, by how far away their zone is. Six series at most,
 * which connections have in common.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/zone.rs.
 */
export class TransferCosts {
  readonly #families: Families;
  readonly #byLocality = new Map<ZoneLocality, ByteCounters>();

  constructor(families: Families) {
    this.#families = families;
  }

  /** @param labels of discovery, without prefix. */
  countersFor(labels: readonly (readonly [string, string])[]): ByteCounters {
    const locality = zoneLocality(labels);
    let counters = this.#byLocality.get(locality);
    if (counters === undefined) {
      const { outboundTcpTransferCostBytesTotal: family } = this.#families;
      counters = {
        read: family.cell(transferCostLabels("Recv", locality)),
        written: family.cell(transferCostLabels("Send", locality)),
      };
      this.#byLocality.set(locality, counters);
    }
    return counters;
  }
}
