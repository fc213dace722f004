import { setTimeout as pause } from "node:timers/promises";
import { Application } from "../../test/support/app/application.ts";
import { metricSum } from "../../test/support/app/metrics.ts";
import { NAMESPACE } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh } from "../../test/support/process-mesh.ts";
import { limitedClient, type LimitedClient } from "./rate-limit-client.ts";
import {
  BURST_REQUESTS,
  LIMIT_RPS,
  OFFERED_RPS,
  PROTOCOLS,
  type Protocol,
  type RateLimitResult,
  type Served,
} from "./rate-limit-result.ts";

const IDENTITIES = ["anna", "ben", "cleo"];
const SERVICE = "web";

/** Ports of the application by protocol; a limit holds for one port. */
const PORT_NAMES: Readonly<Record<Protocol, "http1" | "http2" | "grpc">> = {
  "HTTP/1": "http1",
  "HTTP/2": "http2",
  gRPC: "grpc",
};

/** A limit that has rested longer than this has its whole burst again. */
const REST_MS = 1_200;
const TICK_MS = 4;
/** Enough to open every connection, and too few to meet the limit. */
const WARM_UP_REQUESTS = 32;
/** The first wrong answers tell what is wrong. */
const WRONG_MAX = 20;

/**
 * Three clients with an identity each send more than twice what a local rate limit admits, over three protocols at once, each
 * request when it is due and whatever became of those before.
 */
export async function rateLimit({ seconds }: { readonly seconds: number }): Promise<RateLimitResult> {
  const application = await Application.start();
  let mesh: ProcessMesh | undefined;
  const lanes: Lane[] = [];
  try {
    const { ports } = application;
    const clients = [];
    for (const name of IDENTITIES) clients.push({ name, ports: {}, proxyPort: await freePort() });
    mesh = await ProcessMesh.start({
      workloads: [...clients, { name: SERVICE, ports: { ...ports }, proxyPort: await freePort() }],
      manifests: { "limits.yaml": Object.values(PORT_NAMES).map(limitedServer).join("---") },
      logFilter: "error",
    });
    const watched = { LINKERD2_PROXY_INBOUND_PORTS: Object.values(ports).join(",") };
    const server = await mesh.sidecar(SERVICE, [], watched);
    const targets = PROTOCOLS.map((p) => `${SERVICE}.${NAMESPACE}.svc.cluster.local:${ports[PORT_NAMES[p]]}`);
    for (const identity of IDENTITIES) {
      const { forwardPorts } = await mesh.sidecar(identity, targets);
      for (const [i, protocol] of PROTOCOLS.entries()) {
        const lane = new Lane(identity, protocol, await limitedClient(protocol, forwardPorts[i] ?? 0));
        lanes.push(lane);
        await lane.warmUp();
      }
    }
    await pause(REST_MS);
    const opened = async (): Promise<number> => {
      let sum = 0;
      for (const port of Object.values(ports))
        sum += await metricSum(server.adminPort, "tcp_open_total", `target_port="${port}"`);
      return sum;
    };
    const before = await opened();
    await offer(lanes, seconds);
    const after = await opened();
    return {
      seconds,
      served: lanes.map((lane) => lane.served()),
      wrong: lanes.flatMap((lane) => lane.wrong),
      newConnections: after - before,
    };
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
    await mesh?.close();
    await application.close();
  }
}

/** The requests of one client over one protocol. */
class Lane {
  readonly wrong: string[] = [];
  sent = 0;
  readonly #identity: string;
  readonly #protocol: Protocol;
  readonly #client: LimitedClient;
  readonly #underWay = new Set<Promise<void>>();
  #startMs = 0;
  /** Before and after the first refusal. */
  readonly #admitted = { before: 0, after: 0 };
  #firstRefusedMs: number | undefined = undefined;
  #lastAdmittedMs = 0;
  #refused = 0;

  constructor(identity: string, protocol: Protocol, client: LimitedClient) {
    this.#identity = identity;
    this.#protocol = protocol;
    this.#client = client;
  }

  /** Discovery and connections are no part of what is measured. */
  async warmUp(): Promise<void> {
    const outcomes = await Promise.all(Array.from({ length: WARM_UP_REQUESTS }, () => this.#client.send()));
    const wrong = outcomes.find(({ kind }) => kind !== "admitted");
    if (wrong !== undefined) throw new Error(`${this.#identity} ${this.#protocol}: ${JSON.stringify(wrong)}`);
  }

  begin(startMs: number): void {
    this.#startMs = startMs;
  }

  /** Sends all that is due. */
  sendUntil(nowMs: number): void {
    const due = Math.floor(((nowMs - this.#startMs) * OFFERED_RPS) / 1000);
    for (; this.sent < due; this.sent++) {
      const request = this.#request();
      this.#underWay.add(request);
      void request.then(() => this.#underWay.delete(request));
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  served(): Served {
    const firstRefusedMs = this.#firstRefusedMs ?? NaN;
    const { before, after } = this.#admitted;
    const elapsedMs = this.#lastAdmittedMs - this.#startMs;
    return {
      identity: this.#identity,
      protocol: this.#protocol,
      offered: this.sent,
      burst: before - ((firstRefusedMs - this.#startMs) * LIMIT_RPS) / 1000,
      admittedRps: (after * 1000) / (this.#lastAdmittedMs - firstRefusedMs),
      besidesBurstRps: ((before + after - BURST_REQUESTS) * 1000) / elapsedMs,
      refused: this.#refused,
    };
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #request(): Promise<void> {
    const outcome = await this.#client.send().catch((error: unknown) => ({
      kind: "wrong" as const,
      answer: error instanceof Error ? error.message : String(error),
    }));
    const nowMs = performance.now();
    if (outcome.kind === "admitted") {
      this.#admitted[this.#firstRefusedMs === undefined ? "before" : "after"]++;
      this.#lastAdmittedMs = nowMs;
    } else if (outcome.kind === "refused") {
      this.#firstRefusedMs ??= nowMs;
      this.#refused++;
    } else if (this.wrong.length < WRONG_MAX) {
      this.wrong.push(`${this.#identity} ${this.#protocol}: ${outcome.answer}`);
    }
  }
}

async function offer(lanes: readonly Lane[], seconds: number): Promise<void> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  for (const lane of lanes) lane.begin(startMs);
  for (let nowMs = startMs; nowMs < endMs; nowMs = performance.now()) {
    for (const lane of lanes) lane.sendUntil(nowMs);
    await pause(TICK_MS);
  }
  await Promise.all(lanes.map((lane) => lane.settled()));
}

/** Every identity may come, and no more often than that. */
function limitedServer(port: string): string {
  const name = `web-${port}`;
  return `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  externalWorkloadSelector: { matchLabels: { app: ${SERVICE} } }
  port: ${port}
  proxyProtocol: ${port === "http1" ? "HTTP/1" : "HTTP/2"}
  accessPolicy: all-authenticated
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: policy.linkerd.io, kind: Server, name: ${name} }
  identity: { requestsPerSecond: ${LIMIT_RPS} }
`;
}
