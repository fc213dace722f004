import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createHttp1Server } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { PEERS } from "../../bench/peers/all.ts";
import type { Certs, Job } from "../../bench/peers/peer.ts";
import { TestCa } from "../support/certs.ts";
import { accepts } from "../support/accepts.ts";

const JOBS: readonly Job[] = (["hop", "pair"] as const).flatMap((topology) => [
  { topology, protocol: "http1" },
  { topology, protocol: "http2" },
]);

/** Larger than the windows that HTTP/2 starts with. */
const BODY = randomBytes(100_000);
const TRAILERS = { "grpc-status": "0" };

describe("peers of the bench", { concurrency: true }, () => {
  let dir = "";
  let certs: Certs;
  let apps: Record<Job["protocol"], number>;
  const servers: Server[] = [];

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    await once(server.listen(0, "127.0.0.1"), "listening");
    // A TCP server that listens has an address and a port.
    return (server.address() as AddressInfo).port;
  }

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "outrigger-peers-"));
    certs = await writeCerts(dir);
    apps = { http1: await listen(echoHttp1()), http2: await listen(echoHttp2()) };
  });

  after(async () => {
    for (const server of servers) server.close();
    await rm(dir, { recursive: true, force: true });
  });

  for (const peer of PEERS) {
    for (const job of JOBS.filter((job) => peer.takes(job))) {
      test(`${peer.name} carries ${job.protocol} as a ${job.topology}`, async (t) => {
        const missing = peer.missing();
        if (missing !== undefined) return t.skip(missing);
        const site = { appPort: apps[job.protocol], dir: await mkdtemp(join(dir, "site-")), certs };
        const running = await peer.start(job, site);
        try {
          const parts = job.topology === "hop" ? ["proxy"] : ["outbound", "inbound"];
          assert.deepEqual(Object.keys(running.proxies), parts);
          for (const pids of Object.values(running.proxies)) for (const pid of pids) process.kill(pid, 0);
          await (job.protocol === "http1" ? exchangeHttp1(running.port) : exchangeHttp2(running.port));
        } finally {
          await running.stop();
        }
        assert.equal(await accepts(running.port), false, "nothing listens after stop");
      });
    }
  }
});

async function writeCerts(dir: string): Promise<Certs> {
  const ca = TestCa.create();
  const leaf = ca.issue({ id: "peer.test" });
  const file = (name: string): string => join(dir, name);
  await writeFile(file("ca.pem"), ca.certPem);
  await writeFile(file("leaf.pem"), leaf.chainPem);
  await writeFile(file("leaf.key"), leaf.keyPem, { mode: 0o600 });
  await writeFile(file("combined.pem"), leaf.chainPem + leaf.keyPem, { mode: 0o600 });
  return {
    ca: file("ca.pem"),
    cert: file("leaf.pem"),
    key: file("leaf.key"),
    combined: file("combined.pem"),
    name: "peer.test",
  };
}

/**
 * Tells what the proxy added to the request. Answers when it has the whole body: nginx and HAProxy 2.6 may
 * stall on more than buffers hold when a response overtakes its request.
 */
function echoHttp1(): Server {
  return createHttp1Server((request, response) => {
    response.setHeader("x-seen", String(request.headers["x-forwarded-for"]));
    void buffer(request).then((body) => response.end(body));
  });
}

/** The same, and ends with trailers, as gRPC does. */
function echoHttp2(): Server {
  const server = createHttp2Server();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("wantTrailers", () => stream.sendTrailers(TRAILERS));
    void buffer(stream).then((body) => {
      const seen = String(headers["x-forwarded-for"]);
      stream.respond({ ":status": 200, "x-seen": seen }, { waitForTrailers: true });
      stream.end(body);
    });
  });
  return server;
}

async function exchangeHttp1(port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: BODY });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("x-seen") ?? "", /^127\.0\.0\.1/);
  assert.notEqual(response.headers.get("x-proxy"), null);
  assert.ok(BODY.equals(Buffer.from(await response.arrayBuffer())), "every byte comes back");
}

async function exchangeHttp2(port: number): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  try {
    const request = session.request({ ":method": "POST", ":path": "/" });
    let trailers: IncomingHttpHeaders = {};
    request.on("trailers", (received) => void (trailers = received));
    request.end(BODY);
    const [response] = (await once(request, "response")) as [IncomingHttpHeaders];
    assert.equal(response[":status"], 200);
    assert.match(String(response["x-seen"]), /^127\.0\.0\.1/);
    assert.notEqual(response["x-proxy"], undefined);
    assert.ok(BODY.equals(await buffer(request)), "every byte comes back");
    assert.equal(trailers["grpc-status"], "0");
  } finally {
    session.destroy();
  }
}
