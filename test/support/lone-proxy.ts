/** One proxy in this process, whose control plane is the test's own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatSocketAddr } from "../../src/addr/socket-addr.ts";
import { FILES } from "../../src/cli/environment.ts";
import { load } from "../../src/config/load.ts";
import { createLog } from "../../src/log/create-log.ts";
import { startProxy, type RunningProxy } from "../../src/proxy.ts";
import { proxyEnvironment, type Workload } from "./mesh-manifest.ts";

/** A directory for the identity of a workload: its token, and a key if the test wants to know it. */
export async function identityDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), "identity-"));
}

/** The proxy, what it logs at the most verbose level, and its end. It need not be ready. */
export class LoneProxy {
  readonly running: RunningProxy;
  readonly lines: readonly string[];
  readonly dir: string;

  private constructor(running: RunningProxy, lines: readonly string[], dir: string) {
    this.running = running;
    this.lines = lines;
    this.dir = dir;
  }

  /**
   * @param control `ip:port` of the control plane; its services may be silent.
   * @param dir the identity's directory, with the file `token` in it; removed at the end.
   */
  static async start(
    workload: Workload,
    control: string,
    dir: string,
    trustAnchorsPem: string,
    extra: Readonly<Record<string, string>> = {},
  ): Promise<LoneProxy> {
    const mesh = { control, trustAnchorsPem, tokenFile: join(dir, "token"), identityDir: dir };
    const environment = new Map(Object.entries(proxyEnvironment(workload, mesh, extra)));
    const loaded = load((name) => environment.get(name), FILES);
    if (!loaded.ok) throw new Error(loaded.problems.join("\n"));
    const lines: string[] = [];
    const logging = createLog({ filter: "trace", format: "plain", write: (line) => void lines.push(line) });
    return new LoneProxy(await startProxy(loaded.config, { logging, environment }), lines, dir);
  }

  get inboundPort(): number {
    return this.running.addrs.inbound.port;
  }

  /** A page of the admin port. */
  async admin(path: string): Promise<{ readonly status: number; readonly body: string }> {
    const response = await fetch(`http://${formatSocketAddr(this.running.addrs.admin)}${path}`);
    return { status: response.status, body: await response.text() };
  }

  async close(): Promise<void> {
    await this.running.shutdown("test");
    await rm(this.dir, { recursive: true, force: true });
  }
}
