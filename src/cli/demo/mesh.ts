import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { formatSocketAddr, parseSocketAddr } from "../../addr/socket-addr.ts";
import { EmbeddedControlPlane } from "../../control-plane/embedded.ts";
import {
  DEFAULT_SETTINGS,
  serviceAccountIdentity,
  serviceDomain,
} from "../../control-plane/index/settings.ts";
import { createLog } from "../../log/create-log.ts";
import {
  REQUESTS,
  type Answer,
  type RequestName,
  type RequestTargets,
  type ServerPorts,
} from "./contract.ts";
import { freePorts } from "./ports.ts";
import { DemoProcesses, type DemoProcess } from "./processes.ts";
import type { Sample } from "./samples.ts";
import { Sidecar } from "./sidecar.ts";
import { writeManifests, type Workspace } from "./workspace.ts";

const NAMESPACE = "demo";
export const CLIENT_ID = serviceAccountIdentity(DEFAULT_SETTINGS, NAMESPACE, "client");
const SERVER_ID = serviceAccountIdentity(DEFAULT_SETTINGS, NAMESPACE, "echo");
export const SERVICE = serviceDomain(DEFAULT_SETTINGS, NAMESPACE, "echo");

/** The port of the service that each kind of request is for, as the manifests have them. */
export const SERVICE_PORTS: Readonly<Record<RequestName, number>> = {
  "http/1": 80,
  "http/2": 8082,
  "grpc-unary": 50051,
  "grpc-stream": 50051,
  websocket: 8081,
  tcp: 7000,
  "http/1-proxied": 80,
};

/** Where the user finds what runs. All of it is on 127.0.0.1. */
export interface MeshPorts {
  /** The client's sidecar as a proxy for `curl -x`. */
  readonly proxy: number;
  readonly clientAdmin: number;
  readonly serverAdmin: number;
  readonly server: ServerPorts;
  readonly targets: RequestTargets;
}

/** What both sidecars count at one time. */
export interface Counts {
  readonly client: readonly Sample[];
  readonly server: readonly Sample[];
}

interface Parts {
  readonly ports: MeshPorts;
  readonly processes: DemoProcesses;
  readonly controlPlane: EmbeddedControlPlane;
  readonly clientSidecar: Sidecar;
  readonly serverSidecar: Sidecar;
  readonly clientApp: DemoProcess;
}

/** The mesh of the demo, running. */
export class Mesh {
  readonly ports: MeshPorts;
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.ports = parts.ports;
    this.#parts = parts;
  }

  /**
   * Brings everything up.
   *
   * @param onProblem gets what the control plane finds wrong with manifests, now and later.
   * @throws if any part does not start, or `signal` aborts; nothing is then left running.
   */
  static async start(
    workspace: Workspace,
    signal: AbortSignal,
    onProblem: (line: string) => void,
  ): Promise<Mesh> {
    const processes = new DemoProcesses(workspace.logs);
    let controlPlane: EmbeddedControlPlane | undefined;
    try {
      const serverApp = processes.start({ name: "server-app", args: [appFile("server-app")], talk: "lines" });
      // The server of this folder prints this line.
      const server = JSON.parse(await serverApp.line()) as ServerPorts;
      const free = portSource(await freePorts(PORTS_NEEDED));
      const clientPorts = { inbound: free(), outbound: free(), admin: free() };
      const serverPorts = { inbound: free(), outbound: free(), admin: free() };
      await writeManifests(workspace, {
        client: { "linkerd-proxy": clientPorts.inbound },
        echo: { ...server, "linkerd-proxy": serverPorts.inbound },
      });
      controlPlane = await startControlPlane(workspace, onProblem);
      const access = {
        controlPlane: formatSocketAddr(controlPlane.address),
        trustAnchorsPem: controlPlane.trustAnchorsPem,
      };
      const targets = requestTargets(clientPorts.outbound, free);
      const forwards = REQUESTS.filter((name) => name !== PROXIED).map((name) => targets[name]);
      const serverSidecar = await Sidecar.start(processes, workspace, access, {
        ...{ workload: "echo", namespace: NAMESPACE, identity: SERVER_ID },
        ...{ ports: serverPorts, applicationPorts: Object.values(server), forwards: [] },
      });
      const clientSidecar = await Sidecar.start(processes, workspace, access, {
        ...{ workload: "client", namespace: NAMESPACE, identity: CLIENT_ID },
        ...{ ports: clientPorts, applicationPorts: [], forwards: distinct(forwards) },
      });
      const clientApp = processes.start({
        name: "client-app",
        args: [appFile("client-app"), JSON.stringify(targets)],
        talk: "lines",
      });
      await Promise.all([serverSidecar.ready(signal), clientSidecar.ready(signal)]);
      const ports = {
        ...{ server, targets, proxy: clientPorts.outbound },
        ...{ clientAdmin: clientPorts.admin, serverAdmin: serverPorts.admin },
      };
      return new Mesh({ ports, processes, controlPlane, clientSidecar, serverSidecar, clientApp });
    } catch (error) {
      await processes.stop();
      await controlPlane?.close();
      throw error;
    }
  }

  /** Rejects when a process ends by itself; never resolves. */
  get ended(): Promise<never> {
    return this.#parts.processes.ended;
  }

  /** Lets the client send one request of each kind, one after the other. */
  async round(): Promise<readonly Answer[]> {
    const { clientApp } = this.#parts;
    clientApp.say("send");
    const answers: Answer[] = [];
    // The client of this folder prints these lines.
    for (const _ of REQUESTS) answers.push(JSON.parse(await clientApp.line()) as Answer);
    return answers;
  }

  async counts(): Promise<Counts> {
    const { clientSidecar, serverSidecar } = this.#parts;
    const [client, server] = await Promise.all([clientSidecar.samples(), serverSidecar.samples()]);
    return { client, server };
  }

  /** Ends all processes; resolves when they are gone. */
  async stop(): Promise<void> {
    await this.#parts.processes.stop();
    await this.#parts.controlPlane.close();
  }
}

/** The one kind of request that goes to the proxy port instead of a forward. */
const PROXIED = "http/1-proxied";

/** Three for each sidecar, and a forward for each port of the service. */
const PORTS_NEEDED = 6 + new Set(Object.values(SERVICE_PORTS)).size;

function portSource(ports: readonly number[]): () => number {
  const left = [...ports];
  return () => {
    const port = left.pop();
    if (port === undefined) throw new Error("PORTS_NEEDED is too small");
    return port;
  };
}

/** Each kind of request has a forward, kinds for the same port of the service share it. */
function requestTargets(proxyPort: number, free: () => number): RequestTargets {
  const forwards = new Map<number, number>();
  const to = (name: RequestName): { readonly port: number; readonly authority: string } => {
    const servicePort = SERVICE_PORTS[name];
    const authority = `${SERVICE}:${servicePort}`;
    if (name === PROXIED) return { port: proxyPort, authority };
    const port = forwards.get(servicePort) ?? free();
    forwards.set(servicePort, port);
    return { port, authority };
  };
  return {
    "http/1": to("http/1"),
    "http/2": to("http/2"),
    "grpc-unary": to("grpc-unary"),
    "grpc-stream": to("grpc-stream"),
    websocket: to("websocket"),
    tcp: to("tcp"),
    "http/1-proxied": to("http/1-proxied"),
  };
}

function distinct<T extends { readonly port: number }>(targets: readonly T[]): readonly T[] {
  return [...new Map(targets.map((target) => [target.port, target])).values()];
}

function appFile(name: string): string {
  return join(import.meta.dirname, `${name}.ts`);
}

/** In this process: it is small, and whoever edits a manifest reads its complaints here. */
async function startControlPlane(
  { manifests, tokens, logs }: Workspace,
  onProblem: (line: string) => void,
): Promise<EmbeddedControlPlane> {
  const listen = parseSocketAddr("127.0.0.1:0");
  if (!listen.ok) throw new Error(listen.problem);
  const file = join(logs, "control-plane.log");
  const { log } = createLog({
    filter: "info",
    format: "plain",
    write: (line) => {
      appendFileSync(file, line, { mode: 0o600 });
      if (line.includes(" ERROR ")) onProblem(line);
    },
  });
  return EmbeddedControlPlane.start({
    resourcesDir: manifests,
    listen: [listen.value],
    tokensDir: tokens,
    log: log.target("outrigger_control_plane"),
  });
}
