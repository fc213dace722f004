/** What a connection is taken for, and what becomes of one that is something else: statements without another test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TcpEndpoint } from "../../src/outbound/tcp-endpoint.ts";
import { Dialer } from "../../src/outbound/dial.ts";
import type { Backend, ClientProtocol } from "../../src/policy/client-policy.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { ListeningLog } from "../control/listening-log.ts";
import { hello, serverName } from "../support/client-hello.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { endpointAt } from "./http/memory-balancer.ts";
import { detect, opaqueRoute, outbound, Peer, until, WrittenControlPlane } from "./listening.ts";
import { name } from "./scripted.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

for (const [what, bytes] of [
  ["bytes that are no request", "\x01\x02 binary\r\n\r\n"],
  ["an unknown version", "GET / HTTP/3.7\r\n\r\n"],
  ["the preface of HTTP/2", PREFACE],
] as const) {
  test(`outbound 2.1: a port declared as HTTP/1 answers ${what} with a bare 400 and closes`, async (t) => {
    const server = await Peer.start(t);
    const { http1 } = detect(server.backend);
    const proxy = await outbound(t, { protocol: { kind: "http1", http1 } });
    const client = proxy.dial();
    client.send(bytes);
    await until("it is closed", () => client.closed);
    assert.match(client.text, /^HTTP\/1\.1 400 /);
    assert.doesNotMatch(client.text, /\r\nl5d-/);
    assert.equal(server.accepted.length, 0);
  });
}

test("outbound 2.1: a port declared as HTTP/2 or gRPC takes no HTTP/1, and closes without an HTTP/1 response", async (t) => {
  const server = await Peer.start(t);
  const { http2 } = detect(server.backend);
  const protocols: readonly ClientProtocol[] = [
    { kind: "http2", http2 },
    { kind: "grpc", grpc: { routes: [], failureAccrual: undefined } },
  ];
  for (const protocol of protocols) {
    const proxy = await outbound(t, { protocol });
    const client = proxy.dial();
    client.send("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
    await until("it is closed", () => client.closed);
    assert.doesNotMatch(client.text, /HTTP\/1/);
    assert.equal(server.accepted.length, 0);
  }
});

test("outbound 2.2: TLS of the application's own is opaque, and passes byte for byte", async (t) => {
  const [http, server] = [await Peer.start(t), await Peer.start(t)];
  const proxy = await outbound(t, { protocol: detect(http.backend, server.backend) });
  const bytes = hello({ extensions: serverName("a.example.com") });
  proxy.dial().socket.write(bytes);
  await until("it arrives", () => server.accepted[0]?.text === bytes.toString("latin1"));
  assert.equal(http.accepted.length, 0);
});

test("outbound 2.4: the load of an opaque endpoint is the time to connect, and what is connecting", async () => {
  const clock = new FakeClock();
  const pending = Promise.withResolvers<never>();
  class SlowDialer extends Dialer {
    override dial(): Promise<never> {
      return pending.promise;
    }
  }
  // It never gets as far as the options that only sockets need.
  const options = { localIps: [], allowLoopback: true } as unknown as ConstructorParameters<typeof Dialer>[0];
  const load = { kind: "peak_ewma", defaultRttMs: 30, decayMs: 10_000 } as const;
  const dialer = new SlowDialer(options);
  const endpoint = new TcpEndpoint(endpointAt("192.0.2.1:80"), load, undefined, dialer, clock);
  assert.equal(endpoint.load(0), 30);
  const connecting = endpoint.connect(new AbortController().signal);
  assert.equal(endpoint.load(0), 60);
  clock.advance(200);
  pending.reject(new Error("refused"));
  await assert.rejects(connecting);
  assert.equal(endpoint.load(clock.nowMs()), 200);
});

test("outbound 2.4: penalties that a policy asks for in an opaque balancer are warned about, and it balances without", async (t) => {
  const server = await Peer.start(t);
  const control = new WrittenControlPlane();
  control.endpoints = [server.endpoint];
  const backend: Backend = {
    meta: metaDefault("db"),
    dispatcher: {
      kind: "balance",
      path: name("db.shop.svc.cluster.local:5432"),
      load: {
        kind: "penalty_peak_ewma",
        defaultRttMs: 30,
        decayMs: 10_000,
        penaltyMs: 5_000,
        maxRetryAfterMs: 300_000,
      },
    },
  };
  const log = new ListeningLog();
  const warned = log.hears("penalties are for HTTP");
  const protocol = { kind: "opaque", opaque: opaqueRoute(backend) } as const;
  const proxy = await outbound(t, { protocol, control, target: { log } });
  proxy.dial().send("hello");
  await until("it arrives", () => server.accepted[0]?.text === "hello");
  assert.deepEqual(await warned, { backend: "default.db" });
});
