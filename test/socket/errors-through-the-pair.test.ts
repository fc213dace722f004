import assert from "node:assert/strict";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingHttpHeaders, type Server } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort } from "../support/process-mesh.ts";
import { httpApp, identityOf, metricsOf, Pair, portOf, serverManifest, sum, until } from "./pair.ts";

const FAILFAST_MS = 200;

describe("what goes wrong between two sidecars", { timeout: 30_000 }, () => {
  let app: Server;
  let pair: Pair;
  let requests = 0;
  let held: (() => void)[] = [];
  let appPort = 0;
  const agent = new Agent({ keepAlive: true });

  before(async () => {
    app = await httpApp((request, response) => {
      requests++;
      if (request.url === "/hold") held.push(() => response.end("held"));
      else if (request.url === "/break") response.socket?.destroy();
      else response.end("ok");
    });
    appPort = portOf(app);
    const closed = await freePort();
    pair = await Pair.start({
      ports: { http: appPort, closed, denied: await freePort() },
      manifests: {
        "denied.yaml": serverManifest("denied", "denied", "HTTP/1"),
        "plain.yaml": service("plain", [80, 81]) + slice("plain", { port80: closed, port81: appPort }),
        "empty.yaml": service("empty", [80]) + service("nobody", [80]),
        "routed.yaml":
          service("routed", [80]) + slice("routed", { port80: appPort }) + route("routed", "/known"),
      },
      client: {
        LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT: `${FAILFAST_MS}ms`,
        LINKERD2_PROXY_OUTBOUND_TCP_FAILFAST_TIMEOUT: `${FAILFAST_MS}ms`,
        LINKERD2_PROXY_OUTBOUND_MAX_IN_FLIGHT: "3",
      },
      server: {
        LINKERD2_PROXY_INBOUND_HTTP_FAILFAST_TIMEOUT: `${FAILFAST_MS}ms`,
        // The state of a queue lives as long as its stack.
        LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT: "10s",
      },
    });
  });

  after(async () => {
    agent.destroy();
    app.closeAllConnections();
    app.close();
    await pair.close();
  });

  interface Answer {
    readonly status: number;
    readonly headers: IncomingHttpHeaders;
    readonly tookMs: number;
    readonly localPort: number;
  }

  const ask = (port: number, target: string, headers: Record<string, string> = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const request = httpRequest({ host: "127.0.0.1", port, path: target, agent, headers });
      request.on("error", reject);
      request.on("response", (response) => {
        const localPort = response.socket.localPort ?? 0;
        response.resume().on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            tookMs: performance.now() - startedAt,
            localPort,
          }),
        );
      });
      request.end();
    });
  const explicitly = (authority: string, path = "/", headers: Record<string, string> = {}): Promise<Answer> =>
    ask(pair.outboundPort, `http://${authority}${path}`, headers);
  const named = (name: string, port = 80): string => `${name}.shop.svc.cluster.local:${port}`;

  test("an application that refuses connections is a 502 of its own sidecar", async () => {
    for (let i = 0; i < 2; i++) {
      const answer = await ask(pair.forward("closed"), "/");
      assert.equal(answer.status, 502);
    }
    const page = await metricsOf(pair.server);
    const labels = { direction: "inbound", classification: "failure", status_code: "502", error: "" };
    assert.equal(sum(page, "response_total", labels), 2);
    // It is the application's answer, as metrics see it: counted there, and not once more.
    assert.equal(sum(page, "inbound_http_errors_total"), 0);
  });

  test("an endpoint without a sidecar that refuses connections is a 502 that says why and closes", async () => {
    const answer = await explicitly(named("plain"));
    assert.equal(answer.status, 502);
    assert.match(String(answer.headers["l5d-proxy-error"]), /^endpoint 127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    assert.equal(answer.headers["l5d-proxy-connection"], "close");
    assert.equal(answer.headers["connection"], "close");
    assert.equal((await explicitly(named("plain", 81))).status, 200);
  });

  test("an application that breaks off before a response is a 502", async () => {
    assert.equal((await explicitly(named("plain", 81), "/break")).status, 502);
    assert.equal((await ask(pair.forward("http"), "/break")).status, 502);
  });

  test("an HTTP/2 application that is down is 504 once waiting was too long, and then 503 at once", async () => {
    const session: ClientHttp2Session = connectHttp2(pair.url("closed"));
    session.on("error", () => {});
    const status = async (): Promise<number> => {
      const stream = session.request({ ":path": "/" });
      stream.on("error", () => {});
      stream.resume();
      const [headers] = (await once(stream, "response")) as [{ ":status": number }];
      return headers[":status"];
    };
    assert.equal(await status(), 504);
    await until("it is shed", async () => (await status()) === 503);
    session.destroy();
  });

  test("a Service without endpoints is 504 after failfast, 503 at once, and well as soon as there is one", async () => {
    const first = await explicitly(named("empty"));
    assert.equal(first.status, 504);
    assert.ok(first.tookMs >= FAILFAST_MS - 20, String(first.tookMs));
    assert.match(String(first.headers["l5d-proxy-error"]), /service in fail-fast$/);
    assert.equal(first.headers["connection"], "close");
    // A connection that stays keeps the target, and with it the state of its queue.
    const keeper = connect(pair.outboundPort, "127.0.0.1");
    keeper.write(`GET http://${named("empty")}/ HTTP/1.1\r\nhost: x\r\n\r\n`);
    const second = await explicitly(named("empty"));
    assert.equal(second.status, 503);
    assert.ok(second.tookMs < FAILFAST_MS, String(second.tookMs));
    keeper.destroy();
    const file = join(pair.mesh.dir, "resources", "filled.yaml");
    await writeFile(file, slice("empty", { port80: appPort }));
    await until("it recovers", async () => (await explicitly(named("empty"))).status === 200);
    await rm(file);
  });

  test("an HTTP/2 client is told so in its protocol, gRPC in a status, and its connection ends gracefully", async () => {
    for (const isGrpc of [false, true]) {
      const session = connectHttp2(`http://127.0.0.1:${pair.outboundPort}`);
      const goaway = once(session, "goaway") as Promise<[number]>;
      const stream = session.request({
        ":path": "/",
        ":authority": named("nobody"),
        ...(isGrpc ? { "content-type": "application/grpc" } : {}),
      });
      const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
      stream.resume();
      assert.equal(headers["l5d-proxy-connection"], "close");
      if (isGrpc) {
        assert.deepEqual([headers[":status"], headers["content-length"]], [200, "0"]);
        assert.equal(headers["content-type"], "application/grpc");
        assert.ok(["4", "14"].includes(String(headers["grpc-status"])));
        assert.match(String(headers["grpc-message"]), /^logical service nobody/);
      } else {
        assert.equal(headers[":status"], 504);
      }
      assert.deepEqual((await goaway)[0], 0);
      if (!session.closed) await once(session, "close");
    }
  });

  test("a denied request is a 403 on a connection that stays", async () => {
    const [one, two] = [await ask(pair.forward("denied"), "/"), await ask(pair.forward("denied"), "/")];
    assert.deepEqual([one.status, two.status], [403, 403]);
    assert.equal(one.localPort, two.localPort);
    assert.notEqual(one.headers["connection"], "close");
  });

  test("a request that no route takes is a 404 on a connection that stays", async () => {
    const known = await explicitly(named("routed"), "/known");
    const other = await explicitly(named("routed"), "/other");
    assert.deepEqual([known.status, other.status], [200, 404]);
    assert.equal(known.localPort, other.localPort);
    assert.match(String(other.headers["l5d-proxy-error"]), /no route$/);
  });

  test("a server with another identity gets no byte: its endpoint is never ready, and a tunnel to it is a 502", async () => {
    const before = requests;
    const file = join(pair.mesh.dir, "resources", "imposter.yaml");
    await writeFile(file, imposter(appPort, pair.server.addrs.inbound.port));
    const tunnel = async (): Promise<string> => {
      const socket = connect(pair.outboundPort, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString("latin1")));
      socket.write(
        `CONNECT ${named("imposter")} HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n`,
      );
      await until("it is answered", () => text.includes("\r\n\r\n"));
      socket.destroy();
      return text;
    };
    let answer = "";
    await until(
      () => `it is discovered: ${answer}`,
      async () => (answer = await tunnel()).startsWith("HTTP/1.1 502 "),
    );
    assert.match(answer, new RegExp(`l5d-proxy-error: [^\r]*${identityOf("other")}`));
    assert.equal((await explicitly(named("imposter"))).status, 504);
    const upgrade = await explicitly(named("imposter"), "/", { connection: "upgrade", upgrade: "x" });
    assert.ok([503, 504].includes(upgrade.status), String(upgrade.status));
    assert.equal(requests, before);
  });

  test("a request beyond the limit in flight is shed at once, and the others are served", async () => {
    const waiting = [1, 2, 3].map(() => explicitly(named("plain", 81), "/hold"));
    await until("three are in flight", () => held.length === 3);
    const shed = await explicitly(named("plain", 81));
    assert.equal(shed.status, 503);
    assert.match(String(shed.headers["l5d-proxy-error"]), /too many requests in flight/);
    for (const answer of held) answer();
    held = [];
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal((await explicitly(named("plain", 81))).status, 200);
  });

  test("requests that their clients gave up leave room for others", async () => {
    for (let i = 0; i < 3; i++) {
      const socket = connect(pair.outboundPort, "127.0.0.1");
      socket.write(`GET http://${named("plain", 81)}/hold HTTP/1.1\r\nhost: x\r\n\r\n`);
      await until("it is in flight", () => held.length === i + 1);
      socket.destroy();
    }
    held = [];
    await until("there is room", async () => (await explicitly(named("plain", 81))).status === 200);
  });

  test("a shutdown does not wait for what has gone", async () => {
    agent.destroy();
    app.closeIdleConnections();
    const startedAt = performance.now();
    await Promise.all([pair.client.shutdown("test"), pair.server.shutdown("test")]);
    assert.ok(performance.now() - startedAt < 900, "the grace period of a second was not used");
  });
});

function service(name: string, ports: readonly number[]): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  ports:
${ports.map((port) => `    - { name: port${port}, port: ${port} }`).join("\n")}
---`;
}

/** Endpoints of a Service that are not meshed: ports by name, all on loopback. */
function slice(name: string, ports: Readonly<Record<string, number>>): string {
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-slice, namespace: shop, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: ["127.0.0.1"] }]
ports:
${Object.entries(ports)
  .map(([port, number]) => `  - { name: ${port}, port: ${number} }`)
  .join("\n")}
---`;
}

function route(name: string, path: string): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: shop }
spec:
  parentRefs: [{ name: ${name}, kind: Service, group: core, port: 80 }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: ${path} } }]
      backendRefs: [{ name: ${name}, port: 80 }]
---`;
}

/** A workload that discovery takes for somebody else than who answers there. */
function imposter(port: number, proxyPort: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: imposter, namespace: shop }
spec: { selector: { app: imposter }, ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: imposter, namespace: shop, labels: { app: imposter } }
spec:
  meshTLS: { identity: ${identityOf("other")}, serverName: ${identityOf("web")} }
  workloadIPs: [{ ip: 127.0.0.1 }]
  ports: [{ name: http, port: ${port} }, { name: linkerd-proxy, port: ${proxyPort} }]
`;
}
