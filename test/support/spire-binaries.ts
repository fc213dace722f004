/** A real SPIRE server and agent on this machine, in a directory of their own, for tests that are given the programs. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import type { TestCa } from "./certs.ts";
import { pem } from "./certs.ts";
import { freePort } from "./process-mesh.ts";

const execute = promisify(execFile);
const START_TIMEOUT_MS = 30_000;

export interface SpireOptions {
  readonly serverProgram: string;
  readonly agentProgram: string;
  readonly trustDomain: string;
  /** Signs the server's own authority, as the mesh's root would. */
  readonly root: TestCa;
  /** Identities that processes of our own user may have. */
  readonly ids: readonly string[];
  /** Life of what they get, in whole seconds; the agent renews at half of it. */
  readonly lifetimeSeconds: number;
}

export class Spire {
  readonly socketPath: string;
  readonly #dir: string;
  readonly #processes: ChildProcess[] = [];

  private constructor(dir: string) {
    this.#dir = dir;
    this.socketPath = join(dir, "agent.sock");
  }

  static async start(options: SpireOptions): Promise<Spire> {
    const spire = new Spire(await mkdtemp(join(tmpdir(), "spire-")));
    try {
      await spire.#start(options);
      return spire;
    } catch (error) {
      await spire.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const child of this.#processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    }
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #start(options: SpireOptions): Promise<void> {
    const { serverProgram, agentProgram, trustDomain, root, ids, lifetimeSeconds } = options;
    const at = (name: string): string => join(this.#dir, name);
    const port = await freePort();
    for (const dir of ["server", "agent"]) await mkdir(at(dir));
    await writeFile(at("root.crt"), root.certPem);
    const key = root.key.export({ type: "pkcs8", format: "der" });
    await writeFile(at("root.key"), pem("PRIVATE KEY", key), { mode: 0o600 });
    await writeFile(at("server.conf"), serverConfiguration(this.#dir, trustDomain, port));
    await writeFile(at("agent.conf"), agentConfiguration(this.#dir, trustDomain, port));

    const control = ["-socketPath", at("server.sock")];
    this.#run("server", serverProgram, ["run", "-config", at("server.conf")]);
    await this.#until("server", () => execute(serverProgram, ["healthcheck", ...control]));
    const parent = `spiffe://${trustDomain}/agent`;
    const { stdout } = await execute(serverProgram, ["token", "generate", ...control, "-spiffeID", parent]);
    const token = /Token: (\S+)/.exec(stdout)?.[1] ?? "";
    for (const id of ids) {
      await execute(serverProgram, [
        ...["entry", "create", ...control, "-parentID", parent, "-spiffeID", id],
        ...["-selector", `unix:uid:${process.getuid?.() ?? 0}`, "-x509SVIDTTL", String(lifetimeSeconds)],
      ]);
    }
    this.#run("agent", agentProgram, ["run", "-config", at("agent.conf"), "-joinToken", token]);
    await this.#until("agent", () => execute(agentProgram, ["healthcheck", "-socketPath", this.socketPath]));
  }

  #run(name: string, program: string, args: readonly string[]): void {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    const log = createWriteStream(join(this.#dir, `${name}.log`));
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#processes.push(child);
  }

  async #until(name: string, ready: () => Promise<unknown>): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const failure = await ready().then(
        () => undefined,
        (error: unknown) => String(error),
      );
      if (failure === undefined) return;
      if (Date.now() > deadline) {
        const log = await readFile(join(this.#dir, `${name}.log`), "utf8");
        throw new Error(`SPIRE ${name} is not ready: ${failure}\n${log}`);
      }
      await pause(100);
    }
  }
}

function serverConfiguration(dir: string, trustDomain: string, port: number): string {
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${dir}/server.sock"
  trust_domain = "${trustDomain}"
  data_dir = "${dir}/server"
  ca_key_type = "ec-p256"
  ca_ttl = "1h"
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${dir}/server/data.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  UpstreamAuthority "disk" { plugin_data { cert_file_path = "${dir}/root.crt" key_file_path = "${dir}/root.key" } }
}
`;
}

function agentConfiguration(dir: string, trustDomain: string, port: number): string {
  return `
agent {
  data_dir = "${dir}/agent"
  trust_domain = "${trustDomain}"
  server_address = "127.0.0.1"
  server_port = ${port}
  socket_path = "${dir}/agent.sock"
  trust_bundle_path = "${dir}/root.crt"
  workload_x509_svid_key_type = "ec-p256"
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;
}
