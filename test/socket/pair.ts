/** Two sidecars on loopback with an application behind one of them: what the socket tests talk through. */
import assert from "node:assert/strict";
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import type { Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { formatSocketAddr } from "../../src/addr/socket-addr.ts";
import type { RunningProxy } from "../../src/proxy.ts";
import { parsePage, type Page } from "../metrics/page.ts";
import { identityOf, NAMESPACE } from "../support/mesh-manifest.ts";
import { Mesh } from "../support/mesh.ts";
import { freePort } from "../support/process-mesh.ts";

export interface PairOptions {
  /** Ports of the application behind the server sidecar by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Ports, by name, whose Service declares them opaque. */
  readonly opaque?: readonly string[];
  readonly manifests?: Readonly<Record<string, string>>;
  readonly client?: Readonly<Record<string, string>>;
  readonly server?: Readonly<Record<string, string>>;
  readonly logFilter?: string;
  readonly accessLog?: Writable;
}

/** The sidecar of `client` reaches ports of the workload `web` through named forwards and by explicit proxying. */
export class Pair {
  readonly mesh: Mesh;
  readonly client: RunningProxy;
  readonly server: RunningProxy;
  readonly #forwards: ReadonlyMap<string, number>;

  private constructor(
    mesh: Mesh,
    client: RunningProxy,
    server: RunningProxy,
    forwards: ReadonlyMap<string, number>,
  ) {
    this.mesh = mesh;
    this.client = client;
    this.server = server;
    this.#forwards = forwards;
  }

  static async start(options: PairOptions): Promise<Pair> {
    const { ports, opaque = [], manifests = {}, logFilter, accessLog } = options;
    const names = Object.keys(ports);
    const mesh = await Mesh.start({
      workloads: [
        { name: "client", ports: {}, proxyPort: await freePort() },
        { name: "web", ports, proxyPort: await freePort() },
      ],
      manifests: {
        ...Object.fromEntries(opaque.map((name) => [`${name}.yaml`, opaqueService(name, ports[name] ?? 0)])),
        ...manifests,
      },
      ...(logFilter === undefined ? {} : { logFilter }),
      ...(accessLog === undefined ? {} : { accessLog }),
    });
    const forwards = new Map<string, number>();
    for (const name of names) forwards.set(name, await freePort());
    const text = names.map((name) => `127.0.0.1:${forwards.get(name)}=${authorityOf(name, options)}`);
    try {
      // Watched from the start, so that the first connection already meets its policy.
      const watched = { LINKERD2_PROXY_INBOUND_PORTS: Object.values(ports).join(",") };
      const server = await mesh.proxy("web", { ...QUICK, ...watched, ...options.server });
      const client = await mesh.proxy("client", {
        ...QUICK,
        OUTRIGGER_FORWARD: text.join(","),
        ...options.client,
      });
      return new Pair(mesh, client, server, forwards);
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  /** The port of the forward to a named port of the application. */
  forward(name: string): number {
    const port = this.#forwards.get(name);
    if (port === undefined) throw new Error(`no forward to ${name}`);
    return port;
  }

  /** `http://127.0.0.1:PORT` of the forward. */
  url(name: string): string {
    return `http://127.0.0.1:${this.forward(name)}`;
  }

  /** The port for explicit proxying. */
  get outboundPort(): number {
    const [addr] = this.client.addrs.outbound;
    if (addr === undefined) throw new Error("no outbound port");
    return addr.port;
  }

  close(): Promise<void> {
    return this.mesh.close();
  }
}

/** Nothing in a test should wait as long as it may in a cluster. */
const QUICK = {
  LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT: "100ms",
  LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT: "100ms",
  LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
};

function authorityOf(name: string, { ports, opaque = [] }: PairOptions): string {
  const service = opaque.includes(name) ? name : "web";
  return `${service}.${NAMESPACE}.svc.cluster.local:${ports[name]}`;
}

function opaqueService(name: string, port: number): string {
  return `
apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: ${NAMESPACE}
  annotations: { config.linkerd.io/opaque-ports: "${port}" }
spec:
  selector: { app: web }
  ports: [{ name: ${name}, port: ${port}, targetPort: ${name} }]
`;
}

/** A Server for a port of the application; denies by default. */
export function serverManifest(name: string, port: string, protocol: string, accessPolicy = "deny"): string {
  return `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  externalWorkloadSelector: { matchLabels: { app: web } }
  port: ${port}
  proxyProtocol: ${protocol}
  accessPolicy: ${accessPolicy}
`;
}

/** Listens on a free port of loopback. */
export async function listening<S extends Server | HttpServer>(server: S): Promise<S> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** An HTTP/1 application on a free port. */
export function httpApp(listener: RequestListener): Promise<HttpServer> {
  return listening(createHttpServer(listener));
}

export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return address.port;
}

/** Waits until something holds; fails after five seconds, naming it. */
export async function until(
  what: string | (() => string),
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!(await holds())) {
    if (performance.now() > deadline)
      assert.fail(`not after 5s: ${typeof what === "string" ? what : what()}`);
    await pause(5);
  }
}

/** What a proxy's metrics page says now. */
export async function metricsOf(proxy: RunningProxy): Promise<Page> {
  const response = await fetch(`http://${formatSocketAddr(proxy.addrs.admin)}/metrics`);
  return parsePage(await response.text());
}

/** The sum of the samples of a name that carry all of the labels. */
export function sum({ samples }: Page, name: string, labels: Readonly<Record<string, string>> = {}): number {
  let total = 0;
  for (const sample of samples) {
    if (sample.name !== name) continue;
    if (Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value))
      total += sample.value;
  }
  return total;
}

/** Waits until a side has no connection left but those to its admin port, and checks that it counted each end. */
export async function untilAllClosed(proxy: RunningProxy, direction: "inbound" | "outbound"): Promise<void> {
  const admin = String(proxy.addrs.admin.port);
  const count = (page: Page, name: string): number =>
    sum(page, name, { direction }) - sum(page, name, { direction, target_port: admin });
  let open = "";
  await until(
    () => `no ${direction} connection is open, but ${open}`,
    async () => {
      const now = await metricsOf(proxy);
      const live = now.samples.filter((s) => s.name === "tcp_open_connections" && s.value > 0);
      open = live.map((s) => `${s.value} of ${JSON.stringify([...s.labels.values()])}`).join(", ");
      return count(now, "tcp_open_connections") === 0;
    },
  );
  const page = await metricsOf(proxy);
  assert.equal(count(page, "tcp_close_total"), count(page, "tcp_open_total"));
}

export { identityOf };
