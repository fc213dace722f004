/** An application behind a pair of sidecars, each a process: what most scenarios run on. */
import { status } from "@grpc/grpc-js";
import type { SpireWorkload } from "../mesh-manifest.ts";
import { freePort, ProcessMesh, type ProcessMeshOptions, type Sidecar } from "../process-mesh.ts";
import { Application, type Ports } from "./application.ts";
import { grpcCall, http1Get, http2Connect, http2Get, tcpCall } from "./clients.ts";

export const SERVICE = "web.shop.svc.cluster.local";

export interface PairOptions extends Omit<ProcessMeshOptions, "workloads"> {
  /** Whose identity comes from a SPIRE agent: `client`, `web`. */
  readonly spire?: Readonly<Record<string, SpireWorkload>>;
  /** Further variables of both sidecars. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Client {
  readonly sidecar: Sidecar;
  /** Forwards of its sidecar to the application. */
  readonly ports: Ports;
}

export class Pair {
  readonly application: Application;
  readonly mesh: ProcessMesh;
  readonly server: Sidecar;
  readonly client: Client;

  private constructor(application: Application, mesh: ProcessMesh, server: Sidecar, client: Client) {
    this.application = application;
    this.mesh = mesh;
    this.server = server;
    this.client = client;
  }

  static async start({ environment, spire = {}, ...options }: PairOptions = {}): Promise<Pair> {
    const application = await Application.start();
    let mesh: ProcessMesh | undefined;
    try {
      mesh = await ProcessMesh.start({
        logFilter: "warn",
        ...options,
        workloads: [
          { name: "client", ports: {}, proxyPort: await freePort(), ...fromSpire(spire["client"]) },
          {
            name: "web",
            ports: { ...application.ports },
            proxyPort: await freePort(),
            ...fromSpire(spire["web"]),
          },
        ],
      });
      const server = await mesh.sidecar("web", [], environment);
      return new Pair(application, mesh, server, await startClient(mesh, application, environment));
    } catch (error) {
      await mesh?.close();
      await application.close();
      throw error;
    }
  }

  /** One small exchange over each protocol. @throws Error naming the one that failed. */
  async callAll(): Promise<void> {
    await callAll(this.client.ports);
  }

  async close(): Promise<void> {
    await this.mesh.close();
    await this.application.close();
  }
}

function fromSpire(spire: SpireWorkload | undefined): { readonly spire?: SpireWorkload } {
  return spire === undefined ? {} : { spire };
}

/** Starts the client's sidecar, anew if the former one has ended. */
export async function startClient(
  mesh: ProcessMesh,
  { ports }: Application,
  environment?: Readonly<Record<string, string>>,
): Promise<Client> {
  const targets = [ports.http1, ports.http2, ports.grpc, ports.tcp].map((port) => `${SERVICE}:${port}`);
  const sidecar = await mesh.sidecar("client", targets, environment);
  const [http1 = 0, http2 = 0, grpc = 0, tcp = 0] = sidecar.forwardPorts;
  return { sidecar, ports: { http1, http2, grpc, tcp } };
}

async function callAll(ports: Ports): Promise<void> {
  const first = await http1Get(ports.http1);
  if (first.status !== 200) throw new Error(`HTTP/1: ${first.status}`);
  const session = await http2Connect(ports.http2);
  const answer = await http2Get(session).finally(() => session.close());
  if (answer.status !== 200) throw new Error(`HTTP/2: ${answer.status}`);
  const { code, details } = await grpcCall(ports.grpc);
  if (code !== status.OK) throw new Error(`gRPC: ${code} ${details}`);
  const failure = await tcpCall(ports.tcp);
  if (failure !== undefined) throw new Error(`TCP: ${failure}`);
}
