/** Applications behind the peers of the bench, and what a client finds out by talking to them through a peer. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import {
  connect as connectTcp,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
} from "node:net";
import { buffer } from "node:stream/consumers";
import type { Job } from "../../../bench/peers/peer.ts";

/** Larger than the windows that HTTP/2 starts with. */
const BODY = randomBytes(100_000);
const TRAILERS = { "grpc-status": "0" };
const GREETING = Buffer.from("220 ready\r\n");

/** The time a proxy may take to pass on what a server says first: less than any takes to detect a protocol. */
const GREETING_MS = 5_000;

export interface Applications {
  readonly ports: Readonly<Record<Job["protocol"], number>>;
  close(): void;
}

/** One for each protocol, on 127.0.0.1. */
export async function startApplications(): Promise<Applications> {
  const servers = { http1: echoHttp1(), http2: echoHttp2(), tcp: echoTcp() };
  for (const server of Object.values(servers)) await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    ports: {
      http1: portOf(servers.http1),
      http2: portOf(servers.http2),
      tcp: portOf(servers.tcp),
    },
    close() {
      for (const server of Object.values(servers)) server.close();
    },
  };
}

/** Sends something through a peer, and fails unless the application's answer comes back whole. */
export function exchange({ protocol }: Pick<Job, "protocol">, port: number): Promise<Added> {
  return EXCHANGES[protocol](port);
}

/** Headers that a proxy adds on the way: to the request, as the application saw it, and to the response. */
export interface Added {
  readonly forwardedFor: string | undefined;
  readonly proxy: string | undefined;
}

/** Of a server that listens. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
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

/** Speaks first, as mail servers and databases do, and then says what it hears. */
function echoTcp(): Server {
  return createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.write(GREETING);
    socket.pipe(socket);
  });
}

async function exchangeHttp1(port: number): Promise<Added> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: BODY });
  assert.equal(response.status, 200);
  assert.ok(BODY.equals(Buffer.from(await response.arrayBuffer())), "every byte comes back");
  const { headers } = response;
  return { forwardedFor: headers.get("x-seen") ?? undefined, proxy: headers.get("x-proxy") ?? undefined };
}

async function exchangeHttp2(port: number): Promise<Added> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  try {
    const request = session.request({ ":method": "POST", ":path": "/" });
    let trailers: IncomingHttpHeaders = {};
    request.on("trailers", (received) => void (trailers = received));
    request.end(BODY);
    const [response] = (await once(request, "response")) as [IncomingHttpHeaders];
    assert.equal(response[":status"], 200);
    assert.ok(BODY.equals(await buffer(request)), "every byte comes back");
    assert.equal(trailers["grpc-status"], "0");
    return { forwardedFor: textOf(response["x-seen"]), proxy: textOf(response["x-proxy"]) };
  } finally {
    session.destroy();
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return header === undefined ? undefined : String(header);
}

async function exchangeTcp(port: number): Promise<Added> {
  const socket = connectTcp(port, "127.0.0.1");
  try {
    const [first] = (await once(socket, "data", { signal: AbortSignal.timeout(GREETING_MS) })) as [Buffer];
    assert.ok(GREETING.equals(first), "what the server says comes before anything is sent");
    // The end goes all the way and comes back: half of a connection may be closed before the other.
    socket.end(BODY);
    assert.ok(BODY.equals(await buffer(socket)), "every byte comes back");
    return { forwardedFor: undefined, proxy: undefined };
  } finally {
    socket.destroy();
  }
}

const EXCHANGES = { http1: exchangeHttp1, http2: exchangeHttp2, tcp: exchangeTcp } as const;
