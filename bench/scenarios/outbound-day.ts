import { setTimeout as pause } from "node:timers/promises";
import { metricSum } from "../../test/support/app/metrics.ts";
import { annotated, NAMESPACE } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh } from "../../test/support/process-mesh.ts";
import { BREAKER, httpRoute, plainService, serviceParent } from "../peers/manifests.ts";
import { Fleet } from "./fleet.ts";
import { DayClient } from "./outbound-day-client.ts";
import { ENDPOINTS, incidentsOf, type Incident } from "./outbound-day-plan.ts";
import {
  deliveredTooOften,
  laterShare,
  PER_SECOND,
  RETRY_LIMIT,
  slowShare,
  type Failure,
  type OutboundDayResult,
  type RequestKind,
} from "./outbound-day-result.ts";

const SERVICE = "fleet";
const MANIFEST = "fleet.yaml";
const READS = "reads";

/** One request in so many is an order. */
const ORDER_EVERY = 5;

/**
 * A day in the life of an outbound proxy: requests at a steady rate to ten endpoints, of which one after the other leaves,
 * comes back, dies, becomes slow, and fails.
 *
 * Orders are POSTs: a GET without retries may be sent again all the same, on a new connection, if the server has
 * given up the idle one that it was sent on (RFC 9110 section 9.2.2).
 *
 * @param onIncident told when one begins.
 */
export async function outboundDay(
  { seconds }: { readonly seconds: number },
  onIncident: (incident: Incident) => void,
): Promise<OutboundDayResult> {
  const fleet = await Fleet.start(ENDPOINTS);
  let mesh: ProcessMesh | undefined;
  try {
    mesh = await ProcessMesh.start({
      workloads: [{ name: "client", ports: {}, proxyPort: await freePort() }],
      manifests: { [MANIFEST]: manifest(fleet, undefined) },
      logFilter: "warn",
    });
    const target = `${SERVICE}.${NAMESPACE}.svc.cluster.local:${fleet.port}`;
    const { forwardPorts, adminPort } = await mesh.sidecar("client", [target]);
    const client = new DayClient(forwardPorts[0] ?? 0);
    try {
      const day = new Day(fleet, mesh, client, onIncident);
      await day.run(seconds);
      const retries = await metricSum(
        adminPort,
        "outbound_http_route_retry_requests_total",
        `route_name="${READS}"`,
      );
      return { seconds, retries, ...day.result() };
    } finally {
      await client.close();
    }
  } finally {
    await mesh?.close();
    fleet.close();
  }
}

/** @param removed the endpoint that is missing. */
function manifest({ port, addresses }: Fleet, removed: number | undefined): string {
  const parent = serviceParent(SERVICE);
  const retries = { "retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": String(RETRY_LIMIT) };
  const known = addresses.filter((_, endpoint) => endpoint !== removed);
  return [
    plainService(SERVICE, port, known, annotated(BREAKER)),
    httpRoute(READS, parent, ["{ method: GET }"], { annotations: retries }),
    httpRoute("orders", parent, ["{ method: POST }"]),
  ].join("---");
}

class Day {
  readonly #fleet: Fleet;
  readonly #mesh: ProcessMesh;
  readonly #client: DayClient;
  readonly #onIncident: (incident: Incident) => void;
  readonly #requests = { read: 0, order: 0 };
  readonly #failures: Failure[] = [];
  /** As they were, not as they were planned: on the clock of the deliveries. */
  readonly #past: Incident[] = [];
  /** The last that began. */
  #incident: Incident | undefined = undefined;

  constructor(fleet: Fleet, mesh: ProcessMesh, client: DayClient, onIncident: (incident: Incident) => void) {
    this.#fleet = fleet;
    this.#mesh = mesh;
    this.#client = client;
    this.#onIncident = onIncident;
  }

  async run(seconds: number): Promise<void> {
    // Discovery and the first connections are no part of the day.
    const first = await this.#client.send("read", "first");
    if (first !== undefined) throw new Error(`the first request failed: ${first}`);
    this.#fleet.deliveries.length = 0;
    const startMs = performance.now();
    await Promise.all([this.#load(startMs, seconds), this.#script(startMs, incidentsOf(seconds))]);
  }

  result(): Omit<OutboundDayResult, "seconds" | "retries"> {
    const { deliveries } = this.#fleet;
    return {
      requests: this.#requests,
      failures: this.#failures,
      deliveries: deliveries.length,
      tooOften: deliveredTooOften(deliveries, kindOfId),
      incidents: this.#past.map((incident) => ({
        kind: incident.kind,
        share: laterShare(deliveries, incident),
      })),
      slow: slowShare(
        deliveries,
        this.#past.filter(({ kind }) => kind === "slow"),
      ),
    };
  }

  /** Sends each request when it is due, and waits for the last answers. */
  async #load(startMs: number, seconds: number): Promise<void> {
    const underWay: Promise<void>[] = [];
    for (let n = 0; n < seconds * PER_SECOND; n++) {
      const waitMs = startMs + (n * 1000) / PER_SECOND - performance.now();
      if (waitMs > 0) await pause(waitMs);
      underWay.push(this.#request(n));
    }
    await Promise.all(underWay);
  }

  async #request(n: number): Promise<void> {
    const kind = n % ORDER_EVERY === 0 ? "order" : "read";
    this.#requests[kind]++;
    const cause = await this.#client.send(kind, idOf(kind, n));
    if (cause !== undefined) this.#failures.push({ kind, after: this.#incident?.kind, cause });
  }

  async #script(startMs: number, incidents: readonly Incident[]): Promise<void> {
    for (const incident of incidents) {
      await until(startMs + incident.fromMs);
      this.#incident = incident;
      this.#onIncident(incident);
      const fromMs = performance.now();
      await this.#begin(incident);
      await until(startMs + incident.toMs);
      this.#past.push({ ...incident, fromMs, toMs: performance.now() });
      await this.#end(incident);
    }
  }

  async #begin({ kind, endpoint }: Incident): Promise<void> {
    switch (kind) {
      case "removed":
        return this.#mesh.writeManifest(MANIFEST, manifest(this.#fleet, endpoint));
      case "killed":
        return this.#fleet.kill(endpoint);
      case "slow":
      case "failing":
        return this.#fleet.setHealth(endpoint, kind);
      default:
        return kind satisfies never;
    }
  }

  async #end({ kind, endpoint }: Incident): Promise<void> {
    switch (kind) {
      case "removed":
        return this.#mesh.writeManifest(MANIFEST, manifest(this.#fleet, undefined));
      case "killed":
        return this.#fleet.restart(endpoint);
      case "slow":
      case "failing":
        return this.#fleet.setHealth(endpoint, "well");
      default:
        return kind satisfies never;
    }
  }
}

function idOf(kind: RequestKind, n: number): string {
  return `${kind}-${n}`;
}

function kindOfId(id: string): RequestKind {
  return id.startsWith("order-") ? "order" : "read";
}

async function until(atMs: number): Promise<void> {
  const waitMs = atMs - performance.now();
  if (waitMs > 0) await pause(waitMs);
}
