/**
 * A whole proxy, started as its users start it, in front of an application that records every connection and byte; the
 * certificate authority is the test's, so that it can make any certificate. The kernel's part in the interception is played.
 */
import { createServer, type Socket } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import type { RunningProxy } from "../../src/proxy.ts";
import { fillAuthorityDir } from "../support/authority-dir.ts";
import { TestCa } from "../support/certs.ts";
import { identityOf } from "../support/mesh-manifest.ts";
import { Mesh } from "../support/mesh.ts";
import { freePort } from "../support/process-mesh.ts";
import { listening, metricsOf, portOf, serverManifest, sum } from "../socket/pair.ts";

/** What intercepted clients meant to reach: a port open to all, one for meshed clients alone, or the proxy itself. */
export type Aim = "open" | "meshed" | "direct";

export const SERVER_ID = identityOf("web");
export const CLIENT_ID = identityOf("client");

export interface TlsLabOptions {
  readonly detectTimeoutMs: number;
}

/** A connection that reached the application. */
interface Reached {
  readonly socket: Socket;
  bytes: Buffer;
}

export class TlsLab {
  readonly root: TestCa;
  readonly issuer: TestCa;
  /** Lines of the proxy's log. */
  readonly lines: string[];
  readonly reached: Reached[];
  readonly proxy: RunningProxy;
  /** Where connections made from now on mean to go. */
  aim: Aim = "open";
  readonly #close: () => Promise<void>;

  private constructor(parts: {
    root: TestCa;
    issuer: TestCa;
    lines: string[];
    reached: Reached[];
    proxy: RunningProxy;
    close: () => Promise<void>;
  }) {
    this.root = parts.root;
    this.issuer = parts.issuer;
    this.lines = parts.lines;
    this.reached = parts.reached;
    this.proxy = parts.proxy;
    this.#close = parts.close;
  }

  static async start({ detectTimeoutMs }: TlsLabOptions): Promise<TlsLab> {
    const reached: Reached[] = [];
    const application = await listening(createServer((socket) => record(socket, reached)));
    const closed = await listening(createServer((socket) => record(socket, reached)));
    const ports = { open: portOf(application), meshed: portOf(closed) };
    const root = TestCa.create();
    const issuer = root.intermediate({ maxIssuersBelow: 2 });
    const caDir = await mkdtemp(join(tmpdir(), "outrigger-ca-"));
    await fillAuthorityDir(caDir, [root], issuer);
    const lines: string[] = [];
    const proxyPort = await freePort();
    const mesh = await Mesh.start({
      workloads: [{ name: "web", ports, proxyPort }],
      manifests: { "meshed.yaml": serverManifest("meshed", "meshed", "unknown", "all-authenticated") },
      caDir,
      logFilter: "info",
      onLog: (line) => void lines.push(line),
    });
    const close = async (): Promise<void> => {
      await mesh.close();
      for (const { socket } of reached) socket.destroy();
      await Promise.all([application, closed].map((server) => new Promise((done) => server.close(done))));
      await rm(caDir, { recursive: true, force: true });
    };
    const portOfAim = { ...ports, direct: proxyPort };
    // Held by the object that is made below, and asked for each connection.
    let aim = (): Aim => "open";
    try {
      const environment = {
        LINKERD2_PROXY_INBOUND_DETECT_TIMEOUT: `${detectTimeoutMs}ms`,
        LINKERD2_PROXY_INBOUND_PORTS: Object.values(ports).join(","),
        LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
      };
      const proxy = await mesh.proxy("web", environment, {
        name: "lab",
        lookup: () => parseSocketAddr(`127.0.0.1:${portOfAim[aim()]}`),
      });
      const lab = new TlsLab({ root, issuer, lines, reached, proxy, close });
      aim = () => lab.aim;
      return lab;
    } catch (error) {
      await close();
      throw error;
    }
  }

  get port(): number {
    return this.proxy.addrs.inbound.port;
  }

  /** The sum of a metric's samples with these labels. */
  async count(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return sum(await metricsOf(this.proxy), name, labels);
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** Answers whoever speaks HTTP, so that a test sees that its way is open at all. */
function record(socket: Socket, reached: Reached[]): void {
  const connection: Reached = { socket, bytes: Buffer.alloc(0) };
  reached.push(connection);
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    connection.bytes = Buffer.concat([connection.bytes, chunk]);
    if (connection.bytes.includes("\r\n\r\n")) socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  });
}
