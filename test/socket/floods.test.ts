import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp1, get, Agent, type Server } from "node:http";
import {
  createServer as createHttp2,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { FrameType } from "../../src/wire/http2/frame.ts";
import { RawH2Socket, requestFrame, rstFrame, windowUpdateFrame } from "../support/h2-raw-socket.ts";
import { frameBytes } from "../support/h2-raw-peer.ts";
import { NAMESPACE } from "../support/mesh-manifest.ts";
import { forgetPeak, memoryMiB } from "../support/process-memory.ts";
import { freePort, ProcessMesh, type Sidecar } from "../support/process-mesh.ts";
import { slowness } from "../support/slowness.ts";
import { listening, portOf, until } from "./pair.ts";

/** What floods do to the sidecar of the one who sends them, measured from outside of its process. */
const CONNECTIONS = 10;
/** Streams of one connection: all tens of thousands would only take longer. */
const STREAMS = 2_000;
const ROUNDS = 4;
const TUNNELS = 200;
const SLOW_CONNECTIONS = 400;
const CANCEL = 8;
/** Longest wait of a well-behaved client meanwhile. The machine is shared, so this says "not starved" rather than a goal. */
const UNHARMED_MS = 500;

describe("floods through the running proxy", { timeout: 60_000 }, () => {
  let http1: Server;
  let http2: Http2Server;
  let mesh: ProcessMesh;
  let sidecar: Sidecar;
  const sessions = new Set<ServerHttp2Session>();
  const held = new Set<Socket>();
  let open = 0;
  let mostOpen = 0;
  let bulkBytes = 0;

  before(async () => {
    http1 = await listening(
      createHttp1((request, response) => {
        request.on("error", () => {});
        if (request.url === "/upload") request.resume().on("end", () => response.end("ok"));
        else response.end("ok");
      }),
    );
    http1.on("upgrade", (_request, socket: Socket) => {
      held.add(socket);
      socket.on("error", () => {}).on("close", () => held.delete(socket));
      socket.on("end", () => socket.end()).resume();
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n");
    });
    http2 = await listening(createHttp2());
    http2.on("session", (session) => {
      sessions.add(session);
      session.on("error", () => {}).on("close", () => sessions.delete(session));
    });
    const piece = Buffer.alloc(65_536);
    http2.on("stream", (stream: ServerHttp2Stream, headers) => {
      mostOpen = Math.max(mostOpen, ++open);
      stream.on("error", () => {}).on("close", () => open--);
      // Everything else hangs.
      if (headers[":path"] !== "/bulk") return;
      stream.respond({ ":status": 200 });
      let left = 1_000_000;
      const write = (): void => {
        while (left > 0) {
          left -= piece.length;
          if (!stream.write(piece, () => (bulkBytes += piece.length)))
            return void stream.once("drain", write);
        }
        stream.end();
      };
      write();
    });
    const ports = { http1: portOf(http1), http2: portOf(http2) };
    mesh = await ProcessMesh.start({
      // A young generation of the usual size grows by more than what is looked for here.
      nodeArgs: ["--max-semi-space-size=2"],
      workloads: [
        { name: "client", ports: {}, proxyPort: await freePort() },
        { name: "web", ports, proxyPort: await freePort() },
      ],
    });
    await mesh.sidecar("web", [], { LINKERD2_PROXY_INBOUND_PORTS: Object.values(ports).join(",") });
    const targets = Object.values(ports).map((port) => `web.${NAMESPACE}.svc.cluster.local:${port}`);
    sidecar = await mesh.sidecar("client", targets);
    // What the first requests load and compile is not the floods' memory.
    for (let i = 0; i < 200; i++) await wellBehaved(new Agent());
  });

  after(async () => {
    for (const session of sessions) session.destroy();
    for (const socket of held) socket.destroy();
    http1.closeAllConnections();
    http1.close();
    http2.close();
    await mesh.close();
  });

  const port = (name: "http1" | "http2"): number => {
    const found = sidecar.forwardPorts[name === "http1" ? 0 : 1];
    assert.ok(found !== undefined);
    return found;
  };

  /** One request of a client that does nothing wrong. @returns how long it took. */
  const wellBehaved = (agent: Agent): Promise<number> =>
    new Promise((resolve, reject) => {
      const startedAtMs = performance.now();
      get({ host: "127.0.0.1", port: port("http1"), path: "/", agent }, (response) => {
        response.resume().on("end", () => {
          if (response.statusCode === 200) resolve(performance.now() - startedAtMs);
          else reject(new Error(`status ${response.statusCode}`));
        });
      }).on("error", reject);
    });

  /**
   * Runs a flood while another client asks a hundred times a second, and holds both to the common rules: the process
   * lives (INV-1), the other client is unharmed (INV-5), memory is bounded (INV-6).
   */
  const during = async (growthMiB: number, flood: () => Promise<void>): Promise<void> => {
    const { pid } = sidecar;
    forgetPeak(pid);
    const before = memoryMiB(pid).now;
    const agent = new Agent({ keepAlive: true });
    const flooding = new AbortController();
    const background = (async (): Promise<number[]> => {
      const took: number[] = [];
      while (!flooding.signal.aborted) {
        took.push(await wellBehaved(agent));
        await pause(10);
      }
      return took;
    })();
    try {
      await flood();
    } finally {
      flooding.abort();
    }
    const took = await background;
    agent.destroy();
    const { peak } = memoryMiB(pid);
    assert.equal(sidecar.process.exitCode, null);
    assert.doesNotMatch(await mesh.log("client"), /uncaught|unhandled|\n +at /i);
    assert.ok(Math.max(...took) < UNHARMED_MS, `the other client waited ${Math.max(...took)}ms`);
    assert.ok(peak - before <= growthMiB, `memory grew by ${(peak - before).toFixed(1)} MiB`);
  };

  test("invariant 34: H2-A05 rapid resets end their connections, and are cancelled at the application", async () => {
    /** Opens and resets 128 streams at a time until the connection ends. @returns how many. */
    const flood = async (): Promise<number> => {
      const peer = await RawH2Socket.open(port("http2"));
      let id = 1;
      let batches = 0;
      while (peer.goaway === undefined && !peer.closed) {
        const frames: Buffer[] = [];
        for (let i = 0; i < 128; i++, id += 2)
          frames.push(requestFrame(id, "/hang", true), rstFrame(id, CANCEL));
        // The answer tells that all of it was read: what is sent meanwhile would not say when the end came.
        peer.write(...frames, frameBytes(FrameType.ping, 0, 0, Buffer.alloc(8)));
        batches++;
        await until("the proxy has read it", () => peer.count(FrameType.ping) === batches || peer.closed);
      }
      await until("the connection ends", () => peer.closed);
      assert.equal(peer.goaway, "ENHANCE_YOUR_CALM");
      const streams = (id - 1) / 2;
      assert.ok(streams <= 512, `after ${streams} streams`);
      return streams;
    };
    mostOpen = 0;
    const costs: number[] = [];
    await during(32, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const before = cpuMs(sidecar.pid);
        const streams = await Promise.all(Array.from({ length: CONNECTIONS }, flood));
        await until("every request is cancelled", () => open === 0);
        costs.push((cpuMs(sidecar.pid) - before) / streams.reduce((sum, n) => sum + n));
      }
    });
    assert.ok(mostOpen <= CONNECTIONS * 4_096);
    // The goal is a core per 50,000 a second; twice that, because a process this young still compiles its code. The last
    // rounds find the most of it compiled.
    assert.ok(Math.min(...costs) < 0.04 * slowness(), `${costs.join(", ")} ms of CPU for a reset`);
  });

  test("H2-A04 a client with open windows and a closed TCP window stops the application", async () => {
    bulkBytes = 0;
    await during(32, async () => {
      const peer = await RawH2Socket.open(port("http2"), [4, 0x7fff_ffff]);
      peer.write(windowUpdateFrame(0, 0x7fff_ffff - 65_535));
      peer.socket.pause();
      const frames = Array.from({ length: 100 }, (_, i) => requestFrame(2 * i + 1, "/bulk", true));
      peer.write(...frames);
      let last = -1;
      await until("the application may send no more", async () => {
        const same = last === bulkBytes && open === 100;
        last = bulkBytes;
        await pause(100);
        return same;
      });
      // Kernel buffers of four sockets come on top of what the proxies hold.
      assert.ok(bulkBytes < 40_000_000, `${bulkBytes} of 100 MB were taken`);
      peer.destroy();
      await until("every request is cancelled", () => open === 0);
    });
  });

  test("invariant 34: H2-A06 connections that die inside of a header block hurt nobody", async () => {
    await during(16, async () => {
      for (let i = 0; i < 50; i++) {
        const peer = await RawH2Socket.open(port("http2"));
        peer.write(
          frameBytes(FrameType.headers, 0, 1, Buffer.alloc(100, 0x82)),
          Buffer.from("0040000900000000010000", "hex"),
        );
        if (i % 2 === 0) peer.destroy();
        else peer.socket.resetAndDestroy();
      }
      const flood = await RawH2Socket.open(port("http2"));
      flood.write(frameBytes(FrameType.headers, 0, 1, Buffer.alloc(100, 0x82)));
      for (let i = 0; i < 100 && !flood.closed; i++)
        flood.write(frameBytes(FrameType.continuation, 0, 1, Buffer.alloc(1_024, 0x82)));
      await until("the endless block is given up", () => flood.closed);
      assert.equal(flood.goaway, "ENHANCE_YOUR_CALM");
    });
  });

  test("H2-D13 open streams cost a few KiB each, and are given back", async () => {
    await during(4 * (STREAMS / 1_024) + 16, async () => {
      const peer = await RawH2Socket.open(port("http2"));
      for (let i = 0; i < STREAMS; i += 100) {
        peer.write(...Array.from({ length: 100 }, (_, n) => requestFrame(2 * (i + n) + 1, "/hang", false)));
      }
      await until("all are open", () => open === STREAMS);
      assert.equal(peer.goaway, undefined);
      peer.destroy();
      await until("all are cancelled", () => open === 0);
    });
  });

  test("UP-10 idle tunnels are held within a bound", async () => {
    await during(TUNNELS * 0.1 + 16, async () => {
      const tunnels: Socket[] = [];
      for (let i = 0; i < TUNNELS; i++) {
        const socket = connect(port("http1"), "127.0.0.1");
        tunnels.push(socket);
        socket.on("error", () => {});
        socket.write("GET /tunnel HTTP/1.1\r\nHost: h.test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n");
        const [answer] = (await once(socket, "data")) as [Buffer];
        assert.match(answer.toString(), /^HTTP\/1\.1 101 /);
      }
      assert.equal(held.size, TUNNELS);
      for (const socket of tunnels) socket.destroy();
      await until("every tunnel is closed", () => held.size === 0);
    });
  });

  test("invariant 34: SL-01 SL-02 clients that trickle heads and bodies are held within a bound", async () => {
    await during(SLOW_CONNECTIONS * 0.04 + 16, async () => {
      const sockets: Socket[] = [];
      for (let i = 0; i < SLOW_CONNECTIONS; i++) {
        const socket = connect({ port: port("http1"), host: "127.0.0.1", noDelay: true });
        socket.on("error", () => {});
        await once(socket, "connect");
        const body = i % 2 === 0;
        socket.write(
          body
            ? "POST /upload HTTP/1.1\r\nHost: h.test\r\nContent-Length: 100\r\n\r\n"
            : "GET /a HTTP/1.1\r\nX-Slow: ",
        );
        sockets.push(socket);
      }
      for (let round = 0; round < 10; round++) {
        for (const socket of sockets) socket.write("x");
        await pause(20);
      }
      assert.ok(sockets.every((socket) => !socket.destroyed && !socket.readableEnded));
      for (const socket of sockets) socket.destroy();
    });
  });
});

/** CPU time of a process so far, of all its threads. Linux, proc(5); ticks of 10 ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
