import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parsePage, type Sample } from "../../metrics/page.ts";
import type { Child } from "./child.ts";
import { APPLICATION_UID, PROXY_UID, type Lab, type Namespace } from "./lab.ts";
import {
  APPLICATION_PORT,
  clientManifest,
  contextToken,
  identityOf,
  SERVICE_PORT,
  serverManifest,
  workloadToken,
  type DualStack,
} from "./manifests.ts";
import type { Backend } from "./requirements.ts";
import { countersOf, savedRules, type Counters, type Family } from "./rules.ts";

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const APPLICATION = fileURLToPath(new URL("application.ts", import.meta.url));
const CAPTURE = fileURLToPath(new URL("capture.ts", import.meta.url));

/** How long a program may take to start on a busy machine. */
const START_MS = 20_000;

export const CLIENT = "client";
export const SERVER = "web";

const CLIENT_IPS: DualStack = { v4: "10.77.0.1", v6: "fd77::1" };
const SERVER_IPS: DualStack = { v4: "10.77.0.2", v6: "fd77::2" };
/** Addresses that no machine has: whoever reaches something by them was intercepted. */
const CLUSTER_IPS: DualStack = { v4: "10.96.0.10", v6: "fd96::10" };

/** The client workload reaches the controllers by IPv4, the server workload by IPv6. */
const CONTROL_FOR_CLIENT = "10.77.1.1:8086";
const CONTROL_FOR_SERVER = "[fd77:0:0:2::1]:8086";

/** The device of the cable between the two workloads, on either side. */
const CABLE = "cable";

export interface Answer {
  /** Exit code of curl: 0 whenever there was a response. */
  readonly exit: number | null;
  /** 0 without a response. */
  readonly status: number;
  readonly body: string;
  /** All it said, for a person. */
  readonly output: string;
}

/** What the application saw of a request. */
export interface Seen {
  readonly marker: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly localAddress: string;
}

/** One workload with its sidecar. */
export class Sidecar {
  readonly workload: string;
  readonly namespace: Namespace;
  readonly #env: Readonly<Record<string, string>>;
  readonly #backend: Backend;
  #proxy: Child | undefined;

  constructor(
    workload: string,
    namespace: Namespace,
    backend: Backend,
    env: Readonly<Record<string, string>>,
  ) {
    this.workload = workload;
    this.namespace = namespace;
    this.#backend = backend;
    this.#env = env;
  }

  get proxy(): Child {
    if (this.#proxy === undefined) throw new Error(`the proxy of ${this.workload} was not started`);
    return this.#proxy;
  }

  /** Starts the proxy and waits until it says that it is ready. */
  async startProxy(): Promise<void> {
    const argv = outrigger("proxy");
    this.#proxy = this.namespace.start(`proxy of ${this.workload}`, argv, PROXY_UID, this.#env);
    await this.#proxy.said(/Certified identity/, START_MS);
  }

  /** Runs the init program as an init container would, for both families. */
  init(...more: readonly string[]): void {
    const ports = ["--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140"];
    const others = ["--proxy-uid", String(PROXY_UID), "--inbound-ports-to-ignore", "4190,4191"];
    const how = ["--iptables-mode", this.#backend, "--use-wait-flag"];
    this.namespace.mustRun(outrigger("init", ...how, ...ports, ...others, ...more));
  }

  savedRules(family: Family): string {
    return savedRules(this.namespace, this.#backend, family);
  }

  /** Counters of the rules that decide about connections of local programs. */
  counters(family: Family): Counters {
    return countersOf(this.namespace, this.#backend, family);
  }

  /** The present values of the proxy's metrics. */
  metrics(): readonly Sample[] {
    const page = this.namespace.mustRun([...CURL, "--fail", "http://127.0.0.1:4191/metrics"]);
    return parsePage(page).samples;
  }
}

/** Two intercepted workloads on one cable, each with its sidecar, and a control plane that both reach over the network. */
export class InterceptedMesh {
  readonly lab: Lab;
  readonly client: Sidecar;
  readonly server: Sidecar;
  readonly controlPlane: Child;
  /** A text that only the application knows, so that whoever has it got it from there. */
  readonly marker: string;

  private constructor(parts: {
    readonly lab: Lab;
    readonly client: Sidecar;
    readonly server: Sidecar;
    readonly controlPlane: Child;
    readonly marker: string;
  }) {
    this.lab = parts.lab;
    this.client = parts.client;
    this.server = parts.server;
    this.controlPlane = parts.controlPlane;
    this.marker = parts.marker;
  }

  /** Builds everything in `lab`, which its owner closes, also when this throws. */
  static async start(lab: Lab, backend: Backend): Promise<InterceptedMesh> {
    const marker = randomBytes(16).toString("hex");
    const [client, server, control] = [
      lab.namespace("client"),
      lab.namespace("server"),
      lab.namespace("control"),
    ];
    lab.link(
      { namespace: client, device: CABLE, addresses: [`${CLIENT_IPS.v4}/24`, `${CLIENT_IPS.v6}/64`] },
      { namespace: server, device: CABLE, addresses: [`${SERVER_IPS.v4}/24`, `${SERVER_IPS.v6}/64`] },
    );
    lab.link(
      { namespace: control, device: "to-client", addresses: ["10.77.1.1/24"] },
      { namespace: client, device: "to-control", addresses: ["10.77.1.2/24"] },
    );
    lab.link(
      { namespace: control, device: "to-server", addresses: ["fd77:0:0:2::1/64"] },
      { namespace: server, device: "to-control", addresses: ["fd77:0:0:2::2/64"] },
    );
    // Without a route a connection to a service's address would fail before any rule sees it.
    for (const [from, via] of [
      [client, SERVER_IPS],
      [server, CLIENT_IPS],
    ] as const) {
      from.mustRun(["ip", "route", "add", "default", "via", via.v4]);
      from.mustRun(["ip", "-6", "route", "add", "default", "via", via.v6]);
    }

    const resources = lab.folder("resources", PROXY_UID);
    writeFileSync(join(resources, "web.yaml"), serverManifest(SERVER, SERVER_IPS, CLUSTER_IPS));
    writeFileSync(join(resources, "client.yaml"), clientManifest(CLIENT, CLIENT_IPS));
    const tokens = lab.folder("tokens", PROXY_UID);
    const anchors = join(lab.folder("trust", PROXY_UID), "anchors.pem");
    const listen = ["--listen", CONTROL_FOR_CLIENT, "--listen", CONTROL_FOR_SERVER];
    const files = ["--resources", resources, "--tokens", tokens, "--trust-anchors", anchors];
    const controlPlane = control.start(
      "control plane",
      outrigger("control-plane", ...listen, ...files),
      PROXY_UID,
    );
    const application = server.start(
      "application",
      [process.execPath, APPLICATION, String(APPLICATION_PORT), marker],
      APPLICATION_UID,
    );
    await controlPlane.said(/Control plane ready/, START_MS);
    await application.said(/listening/, START_MS);

    const sidecar = (
      name: string,
      namespace: Namespace,
      { v4, v6 }: DualStack,
      controllers: string,
    ): Sidecar => {
      const env = {
        LINKERD2_PROXY_LOG: "warn,linkerd=info,outrigger=info",
        LINKERD2_PROXY_DESTINATION_SVC_ADDR: controllers,
        LINKERD2_PROXY_DESTINATION_SVC_NAME:
          "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local",
        LINKERD2_PROXY_POLICY_SVC_ADDR: controllers,
        LINKERD2_PROXY_POLICY_SVC_NAME:
          "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local",
        LINKERD2_PROXY_IDENTITY_SVC_ADDR: controllers,
        LINKERD2_PROXY_IDENTITY_SVC_NAME:
          "linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local",
        LINKERD2_PROXY_POLICY_WORKLOAD: workloadToken(name),
        LINKERD2_PROXY_DESTINATION_CONTEXT: contextToken(),
        LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS: "10.0.0.0/8,fd00::/8",
        LINKERD2_PROXY_IDENTITY_LOCAL_NAME: identityOf(name),
        LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS: readFileSync(anchors, "utf8"),
        LINKERD2_PROXY_IDENTITY_DIR: lab.folder(`identity-${name}`, PROXY_UID),
        LINKERD2_PROXY_IDENTITY_TOKEN_FILE: join(tokens, identityOf(name)),
        LINKERD2_PROXY_INBOUND_IPS: `${v4},${v6}`,
        LINKERD2_PROXY_INBOUND_DEFAULT_POLICY: "all-unauthenticated",
        LINKERD2_PROXY_INBOUND_LISTEN_ADDR: "[::]:4143",
        LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS: "127.0.0.1:4140,[::1]:4140",
        LINKERD2_PROXY_ADMIN_LISTEN_ADDR: "[::]:4191",
        LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT: "1s",
        LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "2s",
        OUTRIGGER_ORIG_DST: "so_original_dst",
      };
      return new Sidecar(name, namespace, backend, env);
    };
    const parts = {
      lab,
      client: sidecar(CLIENT, client, CLIENT_IPS, CONTROL_FOR_CLIENT),
      server: sidecar(SERVER, server, SERVER_IPS, CONTROL_FOR_SERVER),
      controlPlane,
      marker,
    };
    // As in a pod: interception is there before the proxies are, which must reach the controllers all the same.
    for (const each of [parts.client, parts.server]) each.init();
    await Promise.all([parts.client.startProxy(), parts.server.startProxy()]);
    return new InterceptedMesh(parts);
  }

  /** Asks from the client workload, by default as its application would. */
  async curl(url: string, uid = APPLICATION_UID): Promise<Answer> {
    // In the background: a request may take seconds, and the test should hear a signal all the same.
    const curl = this.client.namespace.start("curl", [...CURL, "-w", "\n%{http_code}", url], uid);
    const { code } = await curl.ended;
    const stdout = curl.stdout.toString();
    const end = stdout.lastIndexOf("\n");
    return {
      exit: code,
      status: Number(stdout.slice(end + 1)),
      body: stdout.slice(0, Math.max(end, 0)),
      output: curl.output,
    };
  }

  /** Speaks clear text to the control plane, from another machine's address. */
  curlControllers(): Promise<Answer> {
    return this.curl(`http://${CONTROL_FOR_CLIENT}/`, PROXY_UID);
  }

  /** How many requests have reached the application. */
  requestsSeen(): number {
    const url = `http://127.0.0.1:${APPLICATION_PORT}/seen`;
    return Number(this.server.namespace.mustRun([...CURL, "--fail", url]));
  }

  /** Records what passes on the cable between the workloads while `during` runs. */
  async onTheWire(during: () => Promise<void>): Promise<Buffer> {
    const argv = [process.execPath, "--disable-warning=ExperimentalWarning", CAPTURE, CABLE];
    const capture = this.client.namespace.start("capture", argv, 0);
    await capture.said(/capturing/, START_MS);
    await during();
    capture.closeInput();
    await capture.ended;
    return capture.stdout;
  }
}

/** Where the application is reached: through the service's address, or at the workload itself. */
export function urlOf(family: Family, by: "service" | "workload"): string {
  const ip = (by === "service" ? CLUSTER_IPS : SERVER_IPS)[family === 4 ? "v4" : "v6"];
  const port = by === "service" ? SERVICE_PORT : APPLICATION_PORT;
  return `http://${family === 4 ? ip : `[${ip}]`}:${port}`;
}

export function serverIp(family: Family): string {
  return family === 4 ? SERVER_IPS.v4 : SERVER_IPS.v6;
}

/** `--globoff`: brackets in an address are no pattern. */
const CURL = ["curl", "--silent", "--show-error", "--globoff", "--max-time", "10"];

export function outrigger(...args: readonly string[]): string[] {
  return [process.execPath, "--disable-warning=ExperimentalWarning", MAIN, ...args];
}
