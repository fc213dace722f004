import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { NAMESPACE } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh, type Sidecar } from "../../test/support/process-mesh.ts";
import { ChurnApplication } from "./policy-churn-application.ts";
import { churnConnection, type ChurnConnection, type ChurnTarget } from "./policy-churn-clients.ts";
import { VersionHistory } from "./policy-churn-history.ts";
import {
  CLIENTS,
  PLAIN_ADDRESSES,
  policyManifest,
  PROTOCOLS,
  SERVICE,
  type ChurnClient,
  type ChurnProtocol,
} from "./policy-churn-policy.ts";
import type { PolicyChurnResult } from "./policy-churn-result.ts";
import { MEMORY_VARIABLE, REDIRECT_VARIABLE } from "./proxy-hook.ts";

export interface PolicyChurnOptions {
  readonly seconds: number;
  readonly updates: number;
  /** Of the same load without updates, before and after. */
  readonly steadySeconds: number;
  /** How long an update may take until it is in force; a busy machine takes longer. */
  readonly inForceWithinMs: number;
}

/** Of each client over each protocol. */
const REQUESTS_PER_SECOND = 40;
/** So that each version is read by itself. */
const SETTLE = "10ms";
const FAILURES_MAX = 20;
const MIB = 1 << 20;
const POLICY_FILE = "policy.yaml";
const HOOK = fileURLToPath(new URL("proxy-hook.ts", import.meta.url));

/**
 * Replaces the policy of a workload many times while two clients of the mesh and one without proxy use it over every protocol.
 * Each answer tells by which version it was routed, and that version must have let its client in.
 */
export async function policyChurn(options: PolicyChurnOptions): Promise<PolicyChurnResult> {
  const { seconds, updates, steadySeconds, inForceWithinMs } = options;
  const application = await ChurnApplication.start();
  let mesh: ProcessMesh | undefined;
  const lanes: Lane[] = [];
  try {
    const proxyPort = await freePort();
    mesh = await ProcessMesh.start({
      workloads: [
        { name: "anna", ports: {}, proxyPort: await freePort() },
        { name: "ben", ports: {}, proxyPort: await freePort() },
        { name: SERVICE, ports: { ...application.ports }, proxyPort },
      ],
      manifests: { [POLICY_FILE]: policyManifest(0) },
      controlPlaneArgs: ["--settle", SETTLE, "--log-level", "warn,outrigger=info"],
      nodeArgs: ["--expose-gc", "--import", HOOK],
      logFilter: "error",
    });
    const memory = new ProxyMemory(mesh.dir);
    const history = new VersionHistory(inForceWithinMs);
    history.wrote(0, 0, 0);
    const redirect = PROTOCOLS.map((p) => [PLAIN_ADDRESSES[p], `127.0.0.1:${application.ports[p]}`] as const);
    memory.add(
      await mesh.sidecar(SERVICE, [], {
        LINKERD2_PROXY_INBOUND_PORTS: Object.values(application.ports).join(","),
        [REDIRECT_VARIABLE]: JSON.stringify(Object.fromEntries(redirect)),
        ...memory.variables(SERVICE),
      }),
    );
    const targets = PROTOCOLS.map((p) => `${SERVICE}.${NAMESPACE}.svc.cluster.local:${application.ports[p]}`);
    for (const client of CLIENTS) {
      const meshed =
        client === "plain" ? undefined : await mesh.sidecar(client, targets, memory.variables(client));
      if (meshed !== undefined) memory.add(meshed);
      for (const [i, protocol] of PROTOCOLS.entries()) {
        const target: ChurnTarget =
          meshed === undefined
            ? { port: proxyPort, localAddress: PLAIN_ADDRESSES[protocol] }
            : { port: meshed.forwardPorts[i] ?? 0, localAddress: undefined };
        lanes.push(new Lane(client, protocol, churnConnection(protocol, target), history));
      }
    }
    const steady = async (): Promise<ReadonlyMap<string, number>> => {
      await load(lanes, pause(steadySeconds * 1000));
      return memory.measure();
    };
    const before = await steady();
    const churning = churn(mesh, history, updates, (seconds * 1000) / updates);
    await load(
      lanes,
      churning.then(() => pause(inForceWithinMs)),
    );
    const after = await steady();
    return {
      updates,
      seconds,
      exchanges: lanes.map((lane) => lane.tally()),
      inForceAfterMs: history.inForceAfterMs.slice(1),
      memoryMiB: Object.fromEntries(
        [...before].map(([name, bytes]) => [
          name,
          { before: bytes / MIB, after: (after.get(name) ?? 0) / MIB },
        ]),
      ),
      failures: [...application.mixtures, ...lanes.flatMap((lane) => lane.failures)].slice(0, FAILURES_MAX),
    };
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
    await mesh?.close();
    application.close();
  }
}

/** Writes one version after the other, each when it is due. */
async function churn(
  mesh: ProcessMesh,
  history: VersionHistory,
  updates: number,
  everyMs: number,
): Promise<void> {
  const startMs = performance.now();
  for (let version = 1; version <= updates; version++) {
    const waitMs = startMs + (version - 1) * everyMs - performance.now();
    if (waitMs > 0) await pause(waitMs);
    const fromMs = performance.now();
    // Told before, since an answer may be quicker than the return from the write.
    history.wrote(version, fromMs, Infinity);
    await mesh.writeManifest(POLICY_FILE, policyManifest(version));
    history.wrote(version, fromMs, performance.now());
  }
}

/** Runs the load for as long as `while_` takes, and waits for the last answers. */
async function load(lanes: readonly Lane[], while_: Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  const running = lanes.map((lane) => lane.run(stop.signal));
  try {
    await while_;
  } finally {
    stop.abort();
    await Promise.all(running);
  }
}

/** One client over one protocol. */
class Lane {
  readonly failures: string[] = [];
  readonly #client: ChurnClient;
  readonly #protocol: ChurnProtocol;
  readonly #connection: ChurnConnection;
  readonly #history: VersionHistory;
  #admitted = 0;
  #refused = 0;

  constructor(
    client: ChurnClient,
    protocol: ChurnProtocol,
    connection: ChurnConnection,
    history: VersionHistory,
  ) {
    this.#client = client;
    this.#protocol = protocol;
    this.#connection = connection;
    this.#history = history;
  }

  async run(signal: AbortSignal): Promise<void> {
    const underWay = new Set<Promise<void>>();
    const everyMs = 1000 / REQUESTS_PER_SECOND;
    for (let dueMs = performance.now(); !signal.aborted; dueMs += everyMs) {
      const request = this.#ask();
      underWay.add(request);
      void request.then(() => underWay.delete(request));
      // Questions of one tunnel are asked one after the other.
      if (this.#protocol === "tcp") await request;
      const waitMs = dueMs + everyMs - performance.now();
      if (waitMs > 0) await pause(waitMs);
    }
    await Promise.all(underWay);
  }

  tally(): PolicyChurnResult["exchanges"][number] {
    return { who: `${this.#client} ${this.#protocol}`, admitted: this.#admitted, refused: this.#refused };
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #ask(): Promise<void> {
    const sentAtMs = performance.now();
    const outcome = await this.#connection.ask().catch((error: unknown) => ({
      kind: "wrong" as const,
      answer: error instanceof Error ? error.message : String(error),
    }));
    const answeredAtMs = performance.now();
    const [client, protocol] = [this.#client, this.#protocol];
    if (outcome.kind === "wrong") return this.#fail(`${client} over ${protocol}: ${outcome.answer}`);
    if (outcome.kind === "admitted") this.#admitted++;
    else this.#refused++;
    const problem = this.#history.judge({ client, protocol, sentAtMs, answeredAtMs, outcome });
    if (problem !== undefined) this.#fail(problem);
  }

  #fail(problem: string): void {
    if (this.failures.length < FAILURES_MAX) this.failures.push(problem);
  }
}

const MEASURED_WITHIN_MS = 5_000;

/** What the proxies have in use when their garbage is collected. */
class ProxyMemory {
  readonly #dir: string;
  readonly #sidecars: Sidecar[] = [];

  constructor(dir: string) {
    this.#dir = dir;
  }

  variables(name: string): Readonly<Record<string, string>> {
    return { [MEMORY_VARIABLE]: this.#file(name) };
  }

  add(sidecar: Sidecar): void {
    this.#sidecars.push(sidecar);
  }

  /** Bytes by name. */
  async measure(): Promise<ReadonlyMap<string, number>> {
    const bytes = new Map<string, number>();
    for (const { name, process } of this.#sidecars) {
      const file = this.#file(name);
      rmSync(file, { force: true });
      process.kill("SIGUSR2");
      const untilMs = performance.now() + MEASURED_WITHIN_MS;
      while (!existsSync(file) || readFileSync(file, "utf8") === "") {
        if (performance.now() > untilMs) throw new Error(`the proxy of ${name} does not tell its memory`);
        await pause(10);
      }
      bytes.set(name, Number(readFileSync(file, "utf8")));
    }
    return bytes;
  }

  #file(name: string): string {
    return join(this.#dir, `${name}.memory`);
  }
}
