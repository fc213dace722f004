/** A small mesh in this process: the embedded control plane and proxies as their users start them, all on loopback. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { formatSocketAddr, parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { FILES } from "../../src/cli/environment.ts";
import { load } from "../../src/config/load.ts";
import { EmbeddedControlPlane } from "../../src/control-plane/embedded.ts";
import { createLog } from "../../src/log/create-log.ts";
import type { OrigDst } from "../../src/transport/orig-dst/orig-dst.ts";
import { startProxy, type RunningProxy } from "../../src/proxy.ts";
import { identityOf, meshManifest, proxyEnvironment, type Workload } from "./mesh-manifest.ts";

export interface MeshOptions {
  readonly workloads: readonly Workload[];
  /** Further manifests by file name; may replace `mesh.yaml`. */
  readonly manifests?: Readonly<Record<string, string>>;
  readonly identityLifetimeMs?: number;
  /** Roots that proxies trust besides the mesh's own. */
  readonly furtherAnchorsPem?: string;
  /** Where its certificate authority is, for meshes that trust each other; default: one of its own. */
  readonly caDir?: string;
  readonly logFilter?: string;
  /** Gets the lines of the log, which go to stderr without it. */
  readonly onLog?: (line: string) => void;
  /** Where proxies write their access logs, if not to stderr. */
  readonly accessLog?: Writable;
}

export class Mesh {
  readonly dir: string;
  readonly controlPlane: EmbeddedControlPlane;
  readonly #proxies: RunningProxy[] = [];
  readonly #options: MeshOptions;

  private constructor(dir: string, controlPlane: EmbeddedControlPlane, options: MeshOptions) {
    this.dir = dir;
    this.controlPlane = controlPlane;
    this.#options = options;
  }

  static async start(options: MeshOptions): Promise<Mesh> {
    const dir = await mkdtemp(join(tmpdir(), "outrigger-mesh-"));
    const manifests = { "mesh.yaml": meshManifest(options.workloads), ...options.manifests };
    const resources = join(dir, "resources");
    await mkdir(resources);
    for (const [file, text] of Object.entries(manifests)) await writeFile(join(resources, file), text);
    const controlPlane = await EmbeddedControlPlane.start({
      resourcesDir: resources,
      listen: [addr("127.0.0.1:0")],
      tokensDir: join(dir, "tokens"),
      identityLifetimeMs: options.identityLifetimeMs,
      caDir: options.caDir,
      log: logging(options).log,
    });
    return new Mesh(dir, controlPlane, options);
  }

  /** Starts the proxy of a workload and waits until it has its certificate. */
  async proxy(
    name: string,
    extra: Readonly<Record<string, string>> = {},
    origDst?: OrigDst,
  ): Promise<RunningProxy> {
    const workload = this.#options.workloads.find((w) => w.name === name);
    if (workload === undefined) throw new Error(`no workload ${name}`);
    const control = formatSocketAddr(this.controlPlane.address);
    const token = join(this.dir, `${name}.token`);
    await writeFile(token, this.controlPlane.tokenFor(identityOf(name)) ?? "");
    const mesh = {
      control,
      trustAnchorsPem: this.controlPlane.trustAnchorsPem + (this.#options.furtherAnchorsPem ?? ""),
      tokenFile: token,
      identityDir: this.dir,
    };
    const environment = new Map(Object.entries(proxyEnvironment(workload, mesh, extra)));
    const loaded = load((variable) => environment.get(variable), FILES);
    if (!loaded.ok) throw new Error(loaded.problems.join("\n"));
    const { accessLog } = this.#options;
    const proxy = await startProxy(loaded.config, {
      logging: logging(this.#options, name),
      environment,
      ...(accessLog === undefined ? {} : { accessLog }),
      ...(origDst === undefined ? {} : { origDst }),
    });
    this.#proxies.push(proxy);
    await waitUntilReady(proxy.addrs.admin);
    return proxy;
  }

  async close(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.shutdown("test")));
    await this.controlPlane.close();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function waitUntilReady(admin: SocketAddr): Promise<void> {
  const url = `http://${formatSocketAddr(admin)}/ready`;
  for (;;) {
    const response = await fetch(url);
    await response.text();
    if (response.ok) return;
  }
}

function logging(options: MeshOptions, who = "control-plane") {
  return createLog({
    filter: options.logFilter ?? "off",
    format: "plain",
    write: options.onLog ?? ((line) => void process.stderr.write(`${who} ${line}`)),
  });
}

function addr(text: string): SocketAddr {
  const parsed = parseSocketAddr(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}
