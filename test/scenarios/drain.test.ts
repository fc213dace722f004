import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { constants, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  GrpcEcho,
  TcpEcho,
  grpcChannel,
  http1Get,
  http2Connect,
  http2Get,
  oneConnection,
} from "../support/app/clients.ts";
import type { Application } from "../support/app/application.ts";
import { eventually } from "../support/app/eventually.ts";
import { Pair, startClient, type Client } from "../support/app/pair.ts";
import { TestCa } from "../support/certs.ts";
import { INHERITED } from "../../src/cli/inherited-environment.ts";
import { proxyEnvironment } from "../support/mesh-manifest.ts";
import { freePort } from "../support/process-mesh.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** What is idle is closed, and what has ended is noticed, within this. */
const SOON_MS = 2000;

describe("a proxy that is told to end", { timeout: 60_000 }, () => {
  let pair: Pair;
  before(async () => {
    pair = await Pair.start();
  });
  after(() => pair.close());

  it("finishes what is under way, says so to its clients, closes what is idle, and exits with 0", async (t) => {
    const { application } = pair;
    const client = pair.client;
    const { ports, sidecar } = client;
    t.diagnostic(`ready ${sidecar.readyAfterMs.toFixed(0)} ms after its start`);
    const exited = exitOf(sidecar.process);

    const idle = await keptAlive(ports.http1);
    const idleSession = await observed(t, ports.http2);
    await http2Get(idleSession.session);
    const headDue = getWaiting(ports.http1, "/wait");
    const bodyDue = getWaiting(ports.http1, "/gate");
    const [halfAnswered] = await bodyDue.answered;
    const rest = text(halfAnswered);
    const busySession = await observed(t, ports.http2);
    const stream = busySession.session.request({ ":path": "/gate" });
    await once(stream, "response");
    const streamed = text(stream);
    const channel = grpcChannel(ports.grpc);
    t.after(() => channel.close());
    const call = new GrpcEcho(channel);
    await call.echo("before");
    const tunnel = await TcpEcho.connect(ports.tcp);
    await tunnel.echo("before");
    await waitingRequests(application, 3);

    sidecar.process.kill("SIGTERM");
    await within(SOON_MS, "the idle HTTP/1 connection to close", idle.closed);
    await within(SOON_MS, "the idle HTTP/2 connection to close", idleSession.closed);
    assert.equal(await idleSession.goaway, constants.NGHTTP2_NO_ERROR);
    assert.equal(await within(SOON_MS, "GOAWAY", busySession.goaway), constants.NGHTTP2_NO_ERROR);
    for (const port of [...Object.values(ports), sidecar.outboundPort]) {
      assert.equal(await connectError(port), "ECONNREFUSED");
    }

    sidecar.process.kill("SIGTERM");
    await call.echo("while draining");
    await tunnel.echo("while draining");
    assert.equal(sidecar.process.exitCode, null);

    application.openGate();
    const [answer] = await headDue.answered;
    assert.deepEqual(
      [answer.statusCode, answer.headers.connection, await text(answer)],
      [200, "close", "hello"],
    );
    assert.equal(await rest, "ab");
    await within(SOON_MS, "the HTTP/1 connections to close", Promise.all([headDue.closed, bodyDue.closed]));
    assert.equal(await streamed, "ab");
    await within(SOON_MS, "the HTTP/2 connection to close", busySession.closed);
    await call.echo("almost over");
    await tunnel.echo("almost over");
    assert.equal(sidecar.process.exitCode, null);

    assert.equal((await call.end()).code, 0);
    await tunnel.echo("over");
    assert.equal(sidecar.process.exitCode, null);
    await tunnel.end();
    assert.deepEqual(await within(SOON_MS, "the exit", exited), { code: 0, signal: null });
  });

  it("finishes requests that a peer sent it before it exits", async (t) => {
    const { application } = pair;
    const client = await anew(t, pair);
    const { ports } = client;
    const exited = exitOf(pair.server.process);
    const waiting = getWaiting(ports.http1, "/wait");
    const session = await observed(t, ports.http2);
    const stream = session.session.request({ ":path": "/gate" });
    await once(stream, "response");
    const tunnel = await TcpEcho.connect(ports.tcp);
    await tunnel.echo("before");
    await waitingRequests(application, 2);

    pair.server.process.kill("SIGTERM");
    await eventually(SOON_MS, async () => {
      const found = await connectError(pair.server.adminPort);
      return { yes: found === "ECONNREFUSED", found };
    });
    await tunnel.echo("while draining");
    application.openGate();
    const [answer] = await waiting.answered;
    assert.deepEqual([answer.statusCode, await text(answer)], [200, "hello"]);
    assert.equal(await text(stream), "ab");
    await tunnel.echo("almost over");
    assert.equal(pair.server.process.exitCode, null);
    await tunnel.end();
    assert.deepEqual(await within(SOON_MS, "the exit", exited), { code: 0, signal: null });

    // The sidecar is gone, and the client's own connection is not to blame for it.
    const refused = await http1Get(ports.http1);
    assert.ok(refused.status >= 502 && refused.status <= 504, `status ${refused.status}`);
  });
});

describe("a proxy whose work does not end", { timeout: 30_000 }, () => {
  it("waits for the grace period and not longer, and a second signal does not shorten it", async (t) => {
    const graceMs = 1500;
    const pair = await Pair.start({ environment: { LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: `${graceMs}ms` } });
    t.after(() => pair.close());
    const { ports, sidecar } = pair.client;
    const tunnel = await TcpEcho.connect(ports.tcp);
    await tunnel.echo("stuck");
    const exited = exitOf(sidecar.process);
    const toldAtMs = performance.now();
    sidecar.process.kill("SIGTERM");
    await pause(graceMs / 3);
    sidecar.process.kill("SIGTERM");
    sidecar.process.kill("SIGINT");
    await tunnel.echo("still there");
    assert.deepEqual(await within(graceMs + SOON_MS, "the exit", exited), { code: 0, signal: null });
    const elapsedMs = performance.now() - toldAtMs;
    assert.ok(elapsedMs >= graceMs, `exited after ${elapsedMs.toFixed(0)} ms`);
    await within(SOON_MS, "the tunnel to close", tunnel.closed);
    assert.match(
      await pair.mesh.log("client"),
      /Graceful shutdown did not complete in 1\.5s, terminating now/,
    );
    t.diagnostic(`grace period ${graceMs} ms, exited after ${elapsedMs.toFixed(0)} ms`);
  });
});

describe("a proxy that has no certificate yet", { timeout: 20_000 }, () => {
  it("exits with 0 as soon as it is told to, and was never ready", async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "outrigger-drain-"));
    t.after(() => rm(dir, { recursive: true }));
    const tokenFile = join(dir, "token");
    await writeFile(tokenFile, "a token");
    const adminPort = await freePort();
    const workload = { name: "early", ports: {}, proxyPort: await freePort() };
    const nobody = `127.0.0.1:${await freePort()}`;
    const { certPem: trustAnchorsPem } = TestCa.create();
    const env = proxyEnvironment(
      workload,
      { control: nobody, trustAnchorsPem, tokenFile, identityDir: dir },
      { LINKERD2_PROXY_ADMIN_LISTEN_ADDR: `127.0.0.1:${adminPort}` },
    );
    const child = spawn(process.execPath, ["--no-warnings", MAIN, "proxy"], {
      env: { ...INHERITED, ...env },
      stdio: "ignore",
    });
    t.after(() => void child.kill("SIGKILL"));
    const exited = exitOf(child);
    const admin = `http://127.0.0.1:${adminPort}`;
    await eventually(10_000, async () => {
      const { status } = await fetch(`${admin}/live`);
      return { yes: status === 200, found: status };
    });
    assert.equal((await fetch(`${admin}/ready`)).status, 503);
    child.kill("SIGTERM");
    assert.deepEqual(await within(SOON_MS, "the exit", exited), { code: 0, signal: null });
  });
});

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
}

/** Until so many requests have reached the application. */
async function waitingRequests(application: Application, count: number): Promise<void> {
  await eventually(SOON_MS, async () => ({ yes: application.waiting === count, found: application.waiting }));
}

/** Starts the client's sidecar once more. */
async function anew(t: TestContext, { mesh, application }: Pair): Promise<Client> {
  const environment = { LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT: "500ms" };
  const client = await startClient(mesh, application, environment);
  t.after(() => mesh.stop(client.sidecar.process, "SIGKILL"));
  return client;
}

/** A kept-alive HTTP/1 connection that has had one answer. */
async function keptAlive(port: number): Promise<{ readonly closed: Promise<unknown> }> {
  const agent = oneConnection();
  const request = httpRequest({ host: "127.0.0.1", port, agent }).end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  assert.notEqual(response.headers.connection, "close");
  const closed = once(response.socket, "close");
  await text(response);
  return { closed };
}

/** A GET on a kept-alive connection of its own, whose answer is yet to come. */
function getWaiting(port: number, path: string) {
  const request = httpRequest({ host: "127.0.0.1", port, path, agent: oneConnection() }).end();
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  const closed = once(request, "socket").then(([socket]) => once(socket, "close"));
  return { answered, closed };
}

async function observed(t: TestContext, port: number) {
  const session: ClientHttp2Session = await http2Connect(port);
  t.after(() => session.destroy());
  const goaway = new Promise<number>((resolve) => session.once("goaway", resolve));
  return { session, goaway, closed: once(session, "close") };
}

/** Why nobody listens on a port; undefined if somebody does. */
function connectError(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: "127.0.0.1", port }, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}

async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const late = pause(ms, undefined, { ref: false }).then(() => {
    throw new Error(`waited ${ms} ms for ${what}`);
  });
  return Promise.race([promise, late]);
}
