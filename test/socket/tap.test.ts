import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
} from "node:http2";
import { connect as connectTcp } from "node:net";
import { networkInterfaces } from "node:os";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { Client, credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { MeshCredentials } from "../../src/control/mesh-credentials.ts";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Headers } from "../../src/proto/gen/http_types_pb.js";
import type {
  TapEvent,
  TapEvent_Http_RequestInit,
  TapEvent_Http_ResponseEnd,
  TapEvent_Http_ResponseInit,
} from "../../src/proto/gen/tap_pb.js";
import type { RunningProxy } from "../../src/proxy.ts";
import type { CredentialsStore } from "../../src/tls/credentials.ts";
import { TestCa } from "../support/certs.ts";
import { freePort } from "../support/process-mesh.ts";
import { meshManifest } from "../support/mesh-manifest.ts";
import { anonymousIn, certifiedIn } from "../support/mesh-identity.ts";
import { EVERYTHING, TapClient, WITH_HEADERS, type Asked } from "../support/tap-client.ts";
import {
  httpApp,
  identityOf,
  listening,
  metricsOf,
  Pair,
  portOf,
  serverManifest,
  sum,
  until,
} from "./pair.ts";

const TAP = {
  LINKERD2_PROXY_CONTROL_LISTEN_ADDR: "127.0.0.1:0",
  LINKERD2_PROXY_TAP_SVC_NAME: identityOf("tap"),
};
const BODY = "x".repeat(100_000);

const same = (bytes: Buffer): Buffer => bytes;
const REPEAT = {
  path: "/test.Echo/Repeat",
  requestStream: false,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

describe("tapping a pair of sidecars", { timeout: 30_000 }, () => {
  const grpc = new Server();
  let http: Awaited<ReturnType<typeof httpApp>>;
  let h2: Http2Server;
  let pair: Pair;
  let observer: CredentialsStore;
  let inbound: TapClient;
  let silence: Promise<number>;
  let outbound: TapClient;
  const clients: TapClient[] = [];
  const hanging = new Set<Http2ServerResponse>();

  before(async () => {
    http = await httpApp((request, response) => {
      request.resume();
      if (request.url !== "/broken") response.end(BODY);
      else
        response.writeHead(200, { "content-length": "10" }).write("half", () => request.socket.destroySoon());
    });
    h2 = await listening(
      createHttp2Server((request, response) => {
        request.resume();
        if (request.url === "/reset") response.stream.close(11);
        else if (request.url === "/hang") hanging.add(response);
        else response.end("two");
      }),
    );
    grpc.addService(
      { repeat: REPEAT },
      {
        repeat: (call: ServerWritableStream<Buffer, Buffer>) => {
          for (let i = 0; i < 10; i++) call.write(call.request);
          if (call.request.toString() === "fail") call.emit("error", { code: 5, details: "no" });
          else call.end();
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    pair = await Pair.start({
      ports: { http: portOf(http), h2: portOf(h2), grpc: port, closed: await freePort() },
      manifests: {
        "closed.yaml": serverManifest("closed", "closed", "HTTP/1"),
        "tap.yaml": meshManifest(
          ["tap", "tap-2", "nottap"].map((name) => ({ name, ports: {}, proxyPort: 4143 })),
        ),
      },
      client: TAP,
      server: {
        ...TAP,
        LINKERD2_PROXY_ADMIN_LISTEN_ADDR: "0.0.0.0:0",
        LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED: "true",
      },
    });
    observer = await certifiedIn(pair.mesh, "tap");
    silence = timeToClose(pair.server.addrs.tap?.port ?? 0);
    inbound = open(pair.server, "web", observer);
    outbound = open(pair.client, "client", observer);
  });

  after(async () => {
    for (const client of clients) client.close();
    await pair.close();
    http.close();
    h2.close();
    grpc.forceShutdown();
  });

  const open = (proxy: RunningProxy, name: string, store: CredentialsStore | undefined): TapClient => {
    const client = new TapClient(proxy.addrs.tap?.port ?? 0, identityOf(name), store);
    clients.push(client);
    return client;
  };
  const get = async (path: string, port = pair.forward("http")): Promise<string> => {
    const request = httpRequest({ host: "127.0.0.1", port, path, agent: false }).end();
    request.on("error", () => {});
    const [response] = (await once(request, "response")) as [IncomingMessage];
    return text(response);
  };
  const getH2 = async (path: string): Promise<string> => {
    const session = connectHttp2(pair.url("h2"));
    session.on("error", () => {});
    const stream = session.request({ ":path": path });
    stream.on("error", () => {});
    const body = await text(stream).catch(() => "");
    session.close();
    return body;
  };
  /** Observes until the tap is over, while `traffic` happens. */
  const tapped = async (by: TapClient, asked: Asked, traffic: () => Promise<unknown>): Promise<Life[]> => {
    const seen = by.observe(asked);
    await seen.begun;
    await traffic();
    assert.equal((await seen.status).code, status.OK);
    return livesOf(seen.events);
  };

  test("inbound 9.1: an HTTP/1 request is told from its head to its last byte, on both sides", async () => {
    const asked = { limit: 1, match: EVERYTHING };
    const outboundSees = outbound.observe(asked);
    await outboundSees.begun;
    const [life] = await tapped(inbound, asked, () => get("/a?b=c"));
    await outboundSees.status;
    const [before] = livesOf(outboundSees.events);
    for (const one of [life, before]) {
      assert.ok(one?.responseInit !== undefined && one.responseEnd !== undefined);
      assert.deepEqual(one.requestInit.method?.type, { case: "registered", value: 0 });
      assert.deepEqual(one.requestInit.scheme?.type, { case: "registered", value: 0 });
      assert.equal(one.requestInit.path, "/a");
      assert.equal(one.requestInit.authority, `127.0.0.1:${pair.forward("http")}`);
      assert.equal(one.requestInit.headers, undefined);
      assert.equal(one.responseInit.httpStatus, 200);
      assert.equal(Number(one.responseEnd.responseBytes), BODY.length);
      assert.deepEqual(one.responseEnd.eos?.end, { case: undefined });
      assert.ok(millis(one.responseEnd.sinceRequestInit) >= millis(one.responseInit.sinceRequestInit));
      assert.ok(millis(one.responseEnd.sinceResponseInit) >= 0);
    }
  });

  test("inbound 9.1: inbound events tell the client and what let it in", async () => {
    const [life] = await tapped(inbound, { limit: 1, match: EVERYTHING }, () => get("/"));
    assert.equal(life?.event.proxyDirection, 1);
    assert.equal(life.event.destination?.port, portOf(http));
    assert.ok((life.event.source?.port ?? 0) > 0);
    assert.deepEqual(life.event.sourceMeta?.labels, { tls: "true", client_id: identityOf("client") });
    assert.deepEqual(life.event.destinationMeta?.labels, {
      srv_group: "",
      srv_kind: "default",
      srv_name: "all-unauthenticated",
      route_group: "",
      route_kind: "default",
      route_name: "default",
      authz_group: "",
      authz_kind: "default",
      authz_name: "all-unauthenticated",
      tls: "loopback",
    });
    assert.equal(life.event.routeMeta, undefined);
  });

  test("outbound events tell the endpoint as discovery knows it", async () => {
    const [life] = await tapped(outbound, { limit: 1, match: EVERYTHING }, () => get("/"));
    assert.equal(life?.event.proxyDirection, 2);
    assert.equal(life.event.destination?.port, portOf(http));
    assert.deepEqual(life.event.sourceMeta?.labels, { tls: "loopback" });
    const { tls, server_id, service, namespace } = life.event.destinationMeta?.labels ?? {};
    assert.deepEqual([tls, server_id], ["true", identityOf("web")]);
    assert.deepEqual([service, namespace], ["web", "shop"]);
  });

  test("only requests that match are told, and headers only where they are asked for", async () => {
    const match: Asked["match"] = {
      match: {
        case: "http",
        value: { match: { case: "path", value: { match: { case: "exact", value: "/b" } } } },
      },
    };
    const [life, ...others] = await tapped(inbound, { limit: 1, match, extract: WITH_HEADERS }, async () => {
      await get("/a");
      await get("/b");
    });
    assert.deepEqual(others, []);
    const sent = headersOf(life?.requestInit.headers);
    assert.equal(life?.requestInit.path, "/b");
    // As the application gets it.
    assert.equal(sent.get("l5d-client-id"), identityOf("client"));
    assert.ok(!sent.has(":path"));
    assert.equal(headersOf(life.responseInit?.headers).get("content-length"), String(BODY.length));
  });

  test("a request that is denied is not shown", async () => {
    const lives = await tapped(inbound, { limit: 1, match: EVERYTHING }, async () => {
      assert.equal(await get("/denied", pair.forward("closed")), "");
      await get("/");
    });
    assert.deepEqual(
      lives.map(({ requestInit }) => requestInit.path),
      ["/"],
    );
  });

  test("an HTTP/2 request is told with its pseudo-headers", async () => {
    const asked = { limit: 1, match: EVERYTHING, extract: WITH_HEADERS };
    const [life] = await tapped(inbound, asked, () => getH2("/x?y"));
    const sent = headersOf(life?.requestInit.headers);
    assert.deepEqual([sent.get(":method"), sent.get(":path"), sent.get(":scheme")], ["GET", "/x?y", "http"]);
    assert.equal(headersOf(life?.responseInit?.headers).get(":status"), "200");
    assert.equal(Number(life?.responseEnd?.responseBytes), 3);
  });

  test("a gRPC stream ends with the status of its trailers", async () => {
    const client = new Client(`127.0.0.1:${pair.forward("grpc")}`, credentials.createInsecure());
    const call = async (message: string): Promise<void> => {
      const stream = client.makeServerStreamRequest(REPEAT.path, same, same, Buffer.from(message));
      stream.on("error", () => {}).resume();
      await new Promise((resolve) => stream.on("status", resolve));
    };
    const asked = { limit: 2, match: EVERYTHING, extract: WITH_HEADERS };
    const lives = await tapped(inbound, asked, async () => {
      await call("fine");
      await call("fail");
    });
    client.close();
    assert.deepEqual(
      lives.map(({ responseEnd }) => responseEnd?.eos?.end),
      [
        { case: "grpcStatusCode", value: 0 },
        { case: "grpcStatusCode", value: 5 },
      ],
    );
    const [fine] = lives;
    assert.equal(Number(fine?.responseEnd?.responseBytes), 10 * (5 + 4));
    assert.equal(headersOf(fine?.responseEnd?.trailers).get("grpc-status"), "0");
    assert.deepEqual(
      lives.map(({ event }) => event.event.value?.event.value?.id?.stream),
      [0n, 1n],
    );
  });

  test("a stream that is reset ends with the code, whoever reset it", async () => {
    const [life] = await tapped(inbound, { limit: 1, match: EVERYTHING }, () => getH2("/reset"));
    assert.equal(life?.responseInit, undefined);
    assert.equal(life?.responseEnd?.sinceResponseInit, undefined);
    assert.deepEqual(life?.responseEnd?.eos?.end, { case: "resetErrorCode", value: 11 });

    const [left] = await tapped(inbound, { limit: 1, match: EVERYTHING }, async () => {
      const session = connectHttp2(pair.url("h2"));
      const stream = session.request({ ":path": "/hang" });
      await until("the application has the request", () => hanging.size > 0);
      stream.close(8);
      await once(stream, "close");
      session.close();
    });
    assert.deepEqual(left?.responseEnd?.eos?.end, { case: "resetErrorCode", value: 8 });
  });

  test("a response that breaks off ends without a status, after the bytes that came", async () => {
    const [life] = await tapped(inbound, { limit: 1, match: EVERYTHING }, () =>
      get("/broken").catch(() => ""),
    );
    assert.equal(life?.responseInit?.httpStatus, 200);
    assert.equal(Number(life?.responseEnd?.responseBytes), 4);
    assert.deepEqual(life?.responseEnd?.eos?.end, { case: undefined });
  });

  test("inbound 9.1: an observer is told what is wrong with what it asks", async () => {
    const none = await inbound.observe({ limit: 0, match: EVERYTHING }).status;
    assert.deepEqual([none.code, none.details], [status.INVALID_ARGUMENT, "limit must be positive"]);
    const { code, details } = await inbound.observe({ limit: 1 }).status;
    assert.deepEqual([code, details], [status.INVALID_ARGUMENT, "match: is missing"]);
  });

  test("invariant 33: nobody but the tap controller taps: every other client is unauthenticated", async () => {
    const asked = { limit: 1, match: EVERYTHING };
    for (const name of ["client", "web", "tap-2", "nottap"]) {
      const { code, details } = await open(pair.server, "web", await certifiedIn(pair.mesh, name)).observe(
        asked,
      ).status;
      assert.deepEqual([code, details], [status.UNAUTHENTICATED, "Unauthorized client"], name);
    }
    const anonymous = await open(pair.server, "web", anonymousIn(pair.mesh)).observe(asked).status;
    assert.deepEqual([anonymous.code, anonymous.details], [status.UNAUTHENTICATED, "Unauthorized client"]);
    const clear = await open(pair.server, "web", undefined).observe(asked).status;
    assert.deepEqual([clear.code, clear.details], [status.UNAUTHENTICATED, "no_tls_from_remote"]);
  });

  test("invariant 33: whatever a stranger calls at the tap port, the answer is the same", async () => {
    const session = connectHttp2(`http://127.0.0.1:${pair.server.addrs.tap?.port}`);
    for (const path of ["/", "/metrics", "/io.linkerd.proxy.tap.Tap/Other"]) {
      const stream = session.request({ ":path": path, ":method": "POST" }).end("?".repeat(100_000));
      const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
      assert.deepEqual([head[":status"], head["grpc-status"]], [200, "16"]);
      assert.equal(await text(stream), "");
    }
    session.close();
  });

  test("a client of another mesh does not get through the handshake to the tap server", async () => {
    const ca = TestCa.create();
    const leaf = ca.issue({ id: identityOf("tap") });
    const socket = connectTls({
      host: "127.0.0.1",
      port: pair.server.addrs.tap?.port ?? 0,
      servername: identityOf("web"),
      ca: pair.mesh.controlPlane.trustAnchorsPem,
      cert: leaf.chainPem,
      key: leaf.keyPem,
      checkServerIdentity: () => undefined,
    });
    const heard = text(socket).catch(() => "");
    socket.on("error", () => {});
    await once(socket, "close");
    assert.equal(await heard, "");
  });

  test("ranked 15: an observer that does not read slows nobody down, and holds no more than its share", async () => {
    const lost = async (): Promise<number> =>
      sum(await metricsOf(pair.server), "outrigger_tap_events_lost_total");
    const seen = inbound.observe({ limit: 1_000_000, match: EVERYTHING, extract: WITH_HEADERS });
    await seen.begun;
    seen.stream.pause();
    const session = connectHttp2(pair.url("h2"));
    const big = "y".repeat(8_000);
    await until("events are lost", async () => {
      const bodies = Array.from({ length: 50 }, async () => {
        const stream = session.request({ ":path": "/", "x-big": big });
        return text(stream);
      });
      assert.deepEqual(new Set(await Promise.all(bodies)), new Set(["two"]));
      return (await lost()) > 0;
    });
    session.close();
    // What had been sent and what had waited is still to be had, in order.
    const before = seen.events.length;
    seen.stream.resume();
    await until("the observer reads on", () => seen.events.length > before + 100);
    seen.stream.cancel();
    await seen.status;
  });

  test("ranked 15: a thousand observers are told that there are enough", async () => {
    const wanted = { limit: 1, match: { match: { case: "any", value: {} } } } as const;
    const clients = Array.from({ length: 8 }, () => open(pair.server, "web", observer));
    const all = Array.from({ length: 1_000 }, (_, i) => clients[i % 8]?.observe(wanted));
    let begun = 0;
    const codes = new Map<number, number>();
    for (const one of all) {
      void one?.begun.then(() => begun++);
      void one?.status.then(({ code }) => codes.set(code, (codes.get(code) ?? 0) + 1));
    }
    const refused = (): number => codes.get(status.RESOURCE_EXHAUSTED) ?? 0;
    await until(
      () => `64 taps run and the others are refused: ${begun} begun, ${JSON.stringify([...codes])}`,
      () => refused() >= 1_000 - 64,
    );
    assert.equal(refused(), 1_000 - 64);
    assert.equal(await get("/"), BODY);
    for (const client of clients) client.close();
    for (const one of all) one?.stream.cancel();
    const again = await tapped(inbound, { limit: 1, match: EVERYTHING }, () => get("/"));
    assert.equal(again.length, 1);
  });

  test("ranked 15: a stranger that says nothing does not stay at the tap port", async () => {
    const stayedMs = await silence;
    assert.ok(stayedMs > 900 && stayedMs < 3_000, String(stayedMs));
  });

  test("invariant 33: what changes or shows the proxy is for its own host alone", async (t) => {
    const [elsewhere] = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === "IPv4");
    if (elsewhere === undefined) return t.skip("this machine has no address but loopback");
    const ask = async (host: string, path: string, method: string): Promise<number> => {
      const url = `http://${host}:${pair.server.addrs.admin.port}${path}`;
      const response = await fetch(url, { method, headers: { "x-forwarded-for": "127.0.0.1" } });
      const body = await response.text();
      if (response.status === 403) assert.equal(body, "Requests are only permitted from localhost.");
      return response.status;
    };
    const closed = [
      ["/shutdown", "POST"],
      ["/proxy-log-level", "GET"],
      ["/proxy-log-level", "PUT"],
      ["/env.json", "GET"],
    ] as const;
    for (const [path, method] of closed) {
      assert.equal(await ask(elsewhere.address, path, method), 403, `${method} ${path}`);
    }
    assert.equal(await ask(elsewhere.address, "/ready", "GET"), 200);
    assert.equal(await ask(elsewhere.address, "/metrics", "GET"), 200);
    assert.equal(await ask("127.0.0.1", "/env.json", "GET"), 200);
    // Nothing was shut down.
    assert.equal(await get("/"), BODY);
  });

  test("a tap ends when its observer leaves, and nobody is asked anything any more", async () => {
    const seen = inbound.observe({ limit: 10, match: EVERYTHING });
    await seen.begun;
    await get("/");
    await seen.arrived(3);
    seen.stream.cancel();
    assert.equal((await seen.status).code, status.CANCELLED);
    const again = await tapped(inbound, { limit: 1, match: EVERYTHING }, () => get("/"));
    assert.equal(again.length, 1);
  });

  test("an observer that closes its half of the connection has left", async () => {
    const serverName = parseDnsName(identityOf("web"));
    assert.ok(serverName.ok);
    const tls = new MeshCredentials({ serverName: serverName.value, credentials: observer.credentials });
    const { socket } = await tls
      ._createSecureConnector()
      .connect(connectTcp(pair.server.addrs.tap?.port ?? 0, "127.0.0.1"));
    // The client's preface with empty SETTINGS; by hand, so that the connection can be closed in the middle.
    socket.write(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1"));
    await once(socket, "data");
    socket.end();
    await Promise.race([once(socket, "close"), pause(2_000).then(() => assert.fail("still open"))]);
  });

  test("taps run on while the proxy drains, and end with it", async () => {
    const seen = inbound.observe({ limit: 10, match: EVERYTHING });
    await seen.begun;
    const session = connectHttp2(pair.url("h2"));
    session.on("error", () => {});
    hanging.clear();
    const held = session.request({ ":path": "/hang" });
    held.on("error", () => {});
    await until("the application has the request", () => hanging.size > 0);
    const over = pair.server.shutdown("test");
    for (const response of hanging) response.end("late");
    assert.equal(await text(held), "late");
    await seen.arrived(3);
    await over;
    assert.notEqual((await seen.status).code, status.OK);
    session.close();
  });
});

/** How long a connection lives that nobody says anything on, in milliseconds. */
async function timeToClose(port: number): Promise<number> {
  const startedAtMs = performance.now();
  const socket = connectTcp(port, "127.0.0.1").resume();
  socket.on("error", () => {});
  await once(socket, "close");
  return performance.now() - startedAtMs;
}

/** A tapped request. */
interface Life {
  readonly event: TapEvent;
  readonly requestInit: TapEvent_Http_RequestInit;
  responseInit: TapEvent_Http_ResponseInit | undefined;
  responseEnd: TapEvent_Http_ResponseEnd | undefined;
}

/** The events of each request together, in the order of the requests. */
function livesOf(events: readonly TapEvent[]): Life[] {
  const lives = new Map<bigint | undefined, Life>();
  for (const event of events) {
    const step = event.event.value?.event;
    const life = lives.get(step?.value?.id?.stream);
    if (step?.case === "requestInit") {
      assert.equal(life, undefined);
      const { value: requestInit } = step;
      lives.set(requestInit.id?.stream, {
        event,
        requestInit,
        responseInit: undefined,
        responseEnd: undefined,
      });
    } else if (step?.case === "responseInit") {
      assert.ok(life !== undefined && life.responseEnd === undefined);
      life.responseInit = step.value;
    } else {
      assert.ok(life !== undefined && life.responseEnd === undefined);
      life.responseEnd = step?.value;
    }
  }
  return [...lives.values()];
}

function headersOf(headers: Headers | undefined): Map<string, string> {
  assert.ok(headers !== undefined);
  return new Map(headers.headers.map(({ name, value }) => [name, Buffer.from(value).toString("latin1")]));
}

function millis(duration: Duration | undefined): number {
  assert.ok(duration !== undefined);
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
