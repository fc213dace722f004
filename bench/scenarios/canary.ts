import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { Pool } from "undici";
import { NAMESPACE } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh } from "../../test/support/process-mesh.ts";
import { ANY_REQUEST, httpRoute, plainService, serviceParent } from "../peers/manifests.ts";
import {
  BACKENDS,
  WEIGHTS_TOTAL,
  type Backend,
  type CanaryResult,
  type CanaryStep,
} from "./canary-result.ts";
import { KEEP_ALIVE_MS } from "./fleet.ts";

export interface CanaryOptions {
  /** At each setting of the weights. */
  readonly requests: number;
}

const STEPS = 10;
const CONNECTIONS = 32;

/** Far more than a change of a manifest takes. */
const IN_FORCE_WITHIN_MS = 10_000;

/** No more requests after so many failures: the first ones tell what is wrong. */
const FAILURES_MAX = 20;

/** The Service that clients address is that of the old version, and parent of the route. */
const SERVICES: Readonly<Record<Backend, string>> = { before: "web", canary: "web-canary" };

/** Set by the route on each response: tells which setting of the weights it went by. */
const STEP_HEADER = "x-step";

/**
 * Moves all requests from one backend of a route to another in ten steps, while they go on without a pause: a request under
 * way when the weights change is served by the old ones or the new ones, and says which.
 *
 * @param onStep told of each setting of the weights when it has its requests.
 */
export async function canary(
  { requests }: CanaryOptions,
  onStep: (step: CanaryStep) => void,
): Promise<CanaryResult> {
  const applications = {
    before: await Application.start("before"),
    canary: await Application.start("canary"),
  };
  const ports = { before: applications.before.port, canary: applications.canary.port };
  let mesh: ProcessMesh | undefined;
  let rollout: Rollout | undefined;
  try {
    const services = BACKENDS.map((name) => plainService(SERVICES[name], ports[name], ["127.0.0.1"]));
    mesh = await ProcessMesh.start({
      workloads: [{ name: "client", ports: {}, proxyPort: await freePort() }],
      manifests: { "services.yaml": services.join("---"), [ROUTE_FILE]: route(0, ports) },
      logFilter: "warn",
    });
    const target = `${SERVICES.before}.${NAMESPACE}.svc.cluster.local:${ports.before}`;
    const { forwardPorts } = await mesh.sidecar("client", [target]);
    rollout = new Rollout(forwardPorts[0] ?? 0);
    const steps: CanaryStep[] = [];
    for (let n = 0; n <= STEPS && rollout.failures.length < FAILURES_MAX; n++) {
      const changedAtMs = performance.now();
      await mesh.writeManifest(ROUTE_FILE, route(n, ports));
      const tally = await rollout.sendUntil(n, requests);
      const step = {
        weights: weightsOf(n),
        requests: tally.before + tally.canary,
        toCanary: tally.canary,
        inForceAfterMs: tally.firstAtMs - changedAtMs,
      };
      steps.push(step);
      onStep(step);
    }
    return { steps, requests: rollout.requests, failures: rollout.failures };
  } finally {
    await rollout?.close();
    await mesh?.close();
    for (const application of Object.values(applications)) application.close();
  }
}

const ROUTE_FILE = "route.yaml";

/** Answers with its name. */
class Application {
  readonly port: number;
  readonly #server: Server;

  private constructor(port: number, server: Server) {
    this.port = port;
    this.#server = server;
  }

  static async start(name: Backend): Promise<Application> {
    const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (_, response) => response.end(name));
    const port = await freePort();
    await once(server.listen(port, "127.0.0.1"), "listening");
    return new Application(port, server);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function weightsOf(step: number): CanaryStep["weights"] {
  const moved = (step * WEIGHTS_TOTAL) / STEPS;
  return { before: WEIGHTS_TOTAL - moved, canary: moved };
}

function route(step: number, ports: Readonly<Record<Backend, number>>): string {
  const weights = weightsOf(step);
  const backends = BACKENDS.map(
    (name) => `{ name: ${SERVICES[name]}, port: ${ports[name]}, weight: ${weights[name]} }`,
  );
  const telling = `{ set: [{ name: ${STEP_HEADER}, value: "${step}" }] }`;
  return httpRoute("rollout", serviceParent(SERVICES.before), [ANY_REQUEST], {
    ofRules: [
      `filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: ${telling} }]`,
      `backendRefs: [${backends.join(", ")}]`,
    ],
  });
}

/** Answers under one setting of the weights. */
interface Tally extends Record<Backend, number> {
  firstAtMs: number;
}

class Rollout {
  readonly failures: string[] = [];
  requests = 0;
  readonly #pool: Pool;
  readonly #tallies = new Map<number, Tally>();

  constructor(port: number) {
    this.#pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS });
  }

  /** Sends requests, many at once, until so many were answered under the given setting. */
  async sendUntil(step: number, requests: number): Promise<Tally> {
    const deadlineMs = performance.now() + IN_FORCE_WITHIN_MS;
    const tally: Tally = { before: 0, canary: 0, firstAtMs: Infinity };
    this.#tallies.set(step, tally);
    const worker = async (): Promise<void> => {
      while (tally.before + tally.canary < requests && this.failures.length < FAILURES_MAX) {
        if (tally.firstAtMs === Infinity && performance.now() > deadlineMs)
          throw new Error(`the weights of step ${step} were not in force within ${IN_FORCE_WITHIN_MS} ms`);
        await this.#request(step);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, worker));
    return tally;
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #request(step: number): Promise<void> {
    const n = this.requests++;
    const problem = await this.#answer().catch((error: unknown) => String(error));
    if (problem !== undefined) this.failures.push(`request ${n} in step ${step}: ${problem}`);
  }

  /** @returns what is wrong with the answer. */
  async #answer(): Promise<string | undefined> {
    const { statusCode, headers, body } = await this.#pool.request({ path: "/", method: "GET" });
    const text = await body.text();
    const backend = BACKENDS.find((name) => name === text);
    if (statusCode !== 200 || backend === undefined) return `status ${statusCode}: ${text}`;
    // Until the new weights are in force, and for requests that were under way then, this is a former step.
    const answeredBy = String(headers[STEP_HEADER]);
    const tally = this.#tallies.get(Number(answeredBy));
    if (tally === undefined) return `answered by step ${answeredBy}, which was never asked for`;
    tally[backend]++;
    tally.firstAtMs = Math.min(tally.firstAtMs, performance.now());
    return undefined;
  }
}
