/** A small mesh of real processes on loopback: the control plane and one sidecar per workload, as their users run them. */
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PROXY_RUNTIME_FLAGS } from "../../src/cli/runtime-flags.ts";
import { endTogether } from "./end-together.ts";
import { INHERITED } from "../../src/cli/inherited-environment.ts";
import { identityOf, meshManifest, proxyEnvironment, type Workload } from "./mesh-manifest.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;

export interface ProcessMeshOptions {
  readonly workloads: readonly Workload[];
  readonly manifests?: Readonly<Record<string, string>>;
  /** Roots that proxies trust besides the mesh's own. */
  readonly furtherAnchorsPem?: string;
  /** Where its certificate authority is kept; default: in a directory of its own. */
  readonly caDir?: string;
  /** Further flags of the control plane. */
  readonly controlPlaneArgs?: readonly string[];
  /** Put before `node` on every proxy's command line: `taskset -c 0`. */
  readonly prefix?: readonly string[];
  /** Flags of the runtime that runs the proxies: `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
  /** Another `src/main.ts` to run, for comparisons. */
  readonly main?: string;
  /** A proxy of somebody else that takes the same environment, run in place of ours. */
  readonly proxyProgram?: string;
  readonly logFilter?: string;
}

/** A sidecar process and where it listens. */
export interface Sidecar {
  readonly name: string;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly outboundPort: number;
  readonly adminPort: number;
  /** From its start until its admin port said that it has its certificate. */
  readonly readyAfterMs: number;
  /** Ports of the named forwards, in the order asked for. */
  readonly forwardPorts: readonly number[];
}

/** Below the ports that Linux gives to outgoing connections, which would take a free one before it is used. */
const PORT_MIN = 20_000;
const PORT_MAX = 32_000;

const given = new Set<number>();

/** A port that nobody listens on, and that no other call of this process got. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

export class ProcessMesh {
  readonly dir: string;
  readonly resourcesDir: string;
  readonly #options: ProcessMeshOptions;
  readonly #processes = new Set<ChildProcess>();
  readonly #controlPort: number;
  #controlPlane: ChildProcess | undefined = undefined;

  private constructor(dir: string, controlPort: number, options: ProcessMeshOptions) {
    this.dir = dir;
    this.resourcesDir = join(dir, "resources");
    this.#controlPort = controlPort;
    this.#options = options;
  }

  static async start(options: ProcessMeshOptions): Promise<ProcessMesh> {
    const dir = await mkdtemp(join(tmpdir(), "outrigger-mesh-"));
    const mesh = new ProcessMesh(dir, await freePort(), options);
    try {
      await mkdir(mesh.resourcesDir);
      const manifests = { "mesh.yaml": meshManifest(options.workloads), ...options.manifests };
      for (const [file, text] of Object.entries(manifests))
        await writeFile(join(mesh.resourcesDir, file), text);
      await mesh.startControlPlane();
      return mesh;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  /** Starts the control plane, or starts it again on the same port with the same authority. */
  async startControlPlane(): Promise<void> {
    const anchors = join(this.dir, "anchors.pem");
    const log = join(this.dir, "control-plane.log");
    this.#controlPlane = this.#spawn("control-plane", [], {}, [
      ...["control-plane", "--resources", this.resourcesDir, "--listen", `127.0.0.1:${this.#controlPort}`],
      ...[
        "--tokens",
        join(this.dir, "tokens"),
        "--trust-anchors",
        anchors,
        "--ca-dir",
        this.#options.caDir ?? join(this.dir, "ca"),
      ],
      ...(this.#options.controlPlaneArgs ?? []),
    ]);
    await this.#until(this.#controlPlane, log, async () => {
      return existsSync(anchors) && (await readFile(log, "utf8")).includes("Control plane ready");
    });
  }

  async stopControlPlane(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#controlPlane !== undefined) await this.stop(this.#controlPlane, signal);
    this.#controlPlane = undefined;
    // The next start is recognised by its own line.
    await rm(join(this.dir, "control-plane.log"), { force: true });
  }

  /** Puts a manifest into the control plane's folder, or replaces it at once, as an editor does. */
  async writeManifest(file: string, text: string): Promise<void> {
    const unfinished = join(this.dir, file);
    await writeFile(unfinished, text);
    await rename(unfinished, join(this.resourcesDir, file));
  }

  /** @param forwards targets of named forwards, `web.shop.svc.cluster.local:80`. */
  async sidecar(
    name: string,
    forwards: readonly string[] = [],
    extra: Readonly<Record<string, string>> = {},
  ): Promise<Sidecar> {
    const workload = this.#options.workloads.find((w) => w.name === name);
    if (workload === undefined) throw new Error(`no workload ${name}`);
    const [outboundPort, adminPort] = [await freePort(), await freePort()];
    const forwardPorts: number[] = [];
    for (const _ of forwards) forwardPorts.push(await freePort());
    const mesh = {
      control: `127.0.0.1:${this.#controlPort}`,
      trustAnchorsPem:
        (await readFile(join(this.dir, "anchors.pem"), "utf8")) + (this.#options.furtherAnchorsPem ?? ""),
      tokenFile: join(this.dir, "tokens", identityOf(name)),
      identityDir: this.dir,
    };
    const forward = forwards.map((target, i) => `127.0.0.1:${forwardPorts[i]}=${target}`).join(",");
    const startedAtMs = performance.now();
    const child = this.#spawn(
      name,
      this.#options.prefix ?? [],
      proxyEnvironment(workload, mesh, {
        LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR: `127.0.0.1:${outboundPort}`,
        LINKERD2_PROXY_ADMIN_LISTEN_ADDR: `127.0.0.1:${adminPort}`,
        LINKERD2_PROXY_LOG: this.#options.logFilter ?? "warn,linkerd=info",
        ...(forwards.length === 0 ? {} : { OUTRIGGER_FORWARD: forward }),
        ...extra,
      }),
      ["proxy"],
    );
    const url = `http://127.0.0.1:${adminPort}/ready`;
    await this.#until(child, join(this.dir, `${name}.log`), async () => {
      const response = await fetch(url).catch(() => undefined);
      await response?.text();
      return response?.ok === true;
    });
    const readyAfterMs = performance.now() - startedAtMs;
    return { name, process: child, pid: child.pid ?? 0, outboundPort, adminPort, readyAfterMs, forwardPorts };
  }

  /** What a process has logged so far. */
  log(name: string): Promise<string> {
    return readFile(join(this.dir, `${name}.log`), "utf8");
  }

  async stop(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#processes.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const inTime = await Promise.race([
      exited.then(() => true),
      pause(STOP_TIMEOUT_MS, false, { ref: false }),
    ]);
    if (inTime) return;
    child.kill("SIGKILL");
    await exited;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes].map((child) => this.stop(child, "SIGKILL")));
    await rm(this.dir, { recursive: true, force: true });
  }

  #spawn(
    name: string,
    prefix: readonly string[],
    environment: Readonly<Record<string, string>>,
    args: readonly string[],
  ): ChildProcess {
    const { proxyProgram, nodeArgs = [], main = MAIN } = this.#options;
    const isProxy = args[0] === "proxy";
    const [command = process.execPath, ...rest] =
      isProxy && proxyProgram !== undefined
        ? [...prefix, proxyProgram]
        : [...prefix, process.execPath, ...PROXY_RUNTIME_FLAGS, ...(isProxy ? nodeArgs : []), main, ...args];
    const child = spawn(command, rest, { env: { ...INHERITED, ...environment }, stdio: "pipe" });
    endTogether(child);
    const log = createWriteStream(join(this.dir, `${name}.log`), { flags: "a" });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#processes.add(child);
    return child;
  }

  async #until(child: ChildProcess, log: string, ready: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await ready().catch(() => false))) {
      if (child.exitCode !== null || Date.now() > deadline) {
        const text = await readFile(log, "utf8").catch(() => "");
        throw new Error(`${log}: not ready (exit code ${child.exitCode})\n${text}`);
      }
      await pause(20);
    }
  }
}
