import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { request } from "undici";
import { tokenFileName } from "../../control-plane/serve/token-store.ts";
import { sleep, systemClock } from "../../time/clock.ts";
import type { DemoProcess, DemoProcesses } from "./processes.ts";
import { parseSamples, type Sample } from "./samples.ts";
import type { Workspace } from "./workspace.ts";

const MAIN = join(import.meta.dirname, "../../main.ts");

/** How long a sidecar may take until it has its certificate. It takes a fraction of a second on a quiet machine. */
const READY_TIMEOUT_MS = 15_000;
const READY_POLL_MS = 25;

export interface SidecarOptions {
  /** The ExternalWorkload that it stands beside; its identity is made of this name. */
  readonly workload: string;
  readonly namespace: string;
  readonly identity: string;
  readonly ports: SidecarPorts;
  /** Ports of its application, whose policies it should know before the first connection. */
  readonly applicationPorts: readonly number[];
  /** Ports of loopback, each leading to a service's `name:port`. */
  readonly forwards: readonly { readonly port: number; readonly authority: string }[];
}

export interface SidecarPorts {
  readonly inbound: number;
  readonly outbound: number;
  readonly admin: number;
}

/** What the sidecars share. */
export interface MeshAccess {
  /** `ip:port` of the control plane. */
  readonly controlPlane: string;
  readonly trustAnchorsPem: string;
}

/** A proxy in a process of its own, seen from outside. */
export class Sidecar {
  readonly process: DemoProcess;
  readonly #adminUrl: string;

  private constructor(process: DemoProcess, { admin }: SidecarPorts) {
    this.process = process;
    this.#adminUrl = `http://127.0.0.1:${admin}`;
  }

  /** Starts the process. It is of use once `ready()`. */
  static async start(
    processes: DemoProcesses,
    workspace: Workspace,
    mesh: MeshAccess,
    options: SidecarOptions,
  ): Promise<Sidecar> {
    const { workload, ports } = options;
    const identityDir = join(workspace.dir, `${workload}-identity`);
    await mkdir(identityDir, { mode: 0o700 });
    const started = processes.start({
      name: `${workload}-proxy`,
      args: [MAIN, "proxy"],
      environment: variables(workspace, mesh, options, identityDir),
      talk: "log",
    });
    return new Sidecar(started, ports);
  }

  /** Resolves when the sidecar serves traffic. @throws if it ends first, or takes too long. */
  async ready(signal: AbortSignal): Promise<void> {
    const { name, ended } = this.process;
    const giveUpAtMs = systemClock.nowMs() + READY_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      signal.throwIfAborted();
      if (systemClock.nowMs() > giveUpAtMs)
        throw new Error(`${name} was not ready within ${READY_TIMEOUT_MS / 1000}s`);
      await Promise.race([sleep(systemClock, READY_POLL_MS, signal), ended]);
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      const { statusCode, body } = await request(`${this.#adminUrl}/ready`);
      await body.dump();
      return statusCode === 200;
    } catch {
      return false;
    }
  }

  /** What it counts now. */
  async samples(): Promise<readonly Sample[]> {
    const { statusCode, body } = await request(`${this.#adminUrl}/metrics`);
    const page = await body.text();
    if (statusCode !== 200) throw new Error(`${this.process.name}: /metrics answered ${statusCode}`);
    return parseSamples(page);
  }
}

/** src/config/variables.md tells what each of them means. */
function variables(
  { tokens }: Workspace,
  { controlPlane, trustAnchorsPem }: MeshAccess,
  { workload, namespace, identity, ports, applicationPorts, forwards }: SidecarOptions,
  identityDir: string,
): Record<string, string> {
  return {
    LINKERD2_PROXY_INBOUND_LISTEN_ADDR: `127.0.0.1:${ports.inbound}`,
    LINKERD2_PROXY_INBOUND_PORTS: applicationPorts.join(","),
    LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS: `127.0.0.1:${ports.outbound}`,
    LINKERD2_PROXY_ADMIN_LISTEN_ADDR: `127.0.0.1:${ports.admin}`,
    LINKERD2_PROXY_DESTINATION_SVC_ADDR: controlPlane,
    LINKERD2_PROXY_POLICY_SVC_ADDR: controlPlane,
    LINKERD2_PROXY_POLICY_WORKLOAD: JSON.stringify({ ns: namespace, external_workload: workload }),
    LINKERD2_PROXY_IDENTITY_SVC_ADDR: controlPlane,
    LINKERD2_PROXY_IDENTITY_LOCAL_NAME: identity,
    LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS: trustAnchorsPem,
    LINKERD2_PROXY_IDENTITY_DIR: identityDir,
    LINKERD2_PROXY_IDENTITY_TOKEN_FILE: join(tokens, tokenFileName(identity)),
    LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
    LINKERD2_PROXY_LOG: "info",
    // All of the demo lives on loopback, and nothing is redirected to the proxies.
    OUTRIGGER_ALLOW_LOOPBACK: "true",
    OUTRIGGER_ORIG_DST: "local",
    OUTRIGGER_FORWARD: forwards.map(({ port, authority }) => `127.0.0.1:${port}=${authority}`).join(","),
  };
}
