/** Profiles, splits and denials once through everything: control plane, two sidecars and sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { Agent, createServer, request, type IncomingHttpHeaders, type Server } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { formatSocketAddr, type SocketAddr } from "../../../src/addr/socket-addr.ts";
import type { RunningProxy } from "../../../src/proxy.ts";
import { Mesh } from "../../support/mesh.ts";
import { freePort } from "../../support/process-mesh.ts";

const NAME = "web.shop.svc.cluster.local";
/** Longer than the timeout of the route, shorter than anybody's patience. */
const ROUTE_TIMEOUT = "100ms";

interface App {
  readonly server: Server;
  readonly port: number;
  readonly seen: { readonly url: string; readonly headers: IncomingHttpHeaders; readonly body: string }[];
}

/** An application that answers `/slow` never, `/flaky` with 503 twice, everything else with its name. */
async function application(name: string): Promise<App> {
  const seen: App["seen"] = [];
  const server = createServer((incoming, response) => {
    void text(incoming).then((body) => {
      const { url = "", headers } = incoming;
      seen.push({ url, headers, body });
      if (url === "/slow") return;
      const tries = seen.filter((one) => one.url === "/flaky").length;
      response.statusCode = url === "/flaky" && tries < 3 ? 503 : 200;
      response.end(name);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { server, port: address.port, seen };
}

function profile(spec: string): string {
  return `
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: { name: ${NAME}, namespace: shop }
spec: { ${spec} }
`;
}

const EGRESS = `
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: { name: internet, namespace: shop }
spec: { trafficPolicy: Deny, networks: [{ cidr: 127.0.0.9/32 }] }
`;

/** A policy that a profile puts out of force: it would answer everything by a redirect. */
function overruled(port: number): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: overruled, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: web, port: ${port} }]
  rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 302, hostname: example.com } }] }]
`;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Asks a proxy explicitly, as `curl -x` does. */
async function ask(proxy: SocketAddr, url: string, body = "", agent = new Agent()): Promise<Answer> {
  const host = new URL(url).host;
  const outgoing = request({
    host: "127.0.0.1",
    port: proxy.port,
    path: url,
    method: body === "" ? "GET" : "POST",
    headers: { host },
    agent,
  });
  outgoing.end(body);
  const [response] = await once(outgoing, "response");
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

describe("a mesh with a profile", { timeout: 30_000 }, () => {
  let web: App;
  let canary: App;
  let mesh: Mesh;
  let client: RunningProxy;
  let outbound: SocketAddr;
  let base: string;

  before(async () => {
    web = await application("web");
    canary = await application("canary");
    const spec = `
  retryBudget: { retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s },
  routes: [
    { name: slow, condition: { pathRegex: /slow }, timeout: ${ROUTE_TIMEOUT} },
    { name: flaky, condition: { method: POST, pathRegex: "/fla.*" }, isRetryable: true }
  ]`;
    mesh = await Mesh.start({
      workloads: [
        { name: "client", ports: {}, proxyPort: await freePort() },
        { name: "web", ports: { http: web.port }, proxyPort: await freePort() },
        { name: "canary", ports: { http: canary.port }, proxyPort: await freePort() },
      ],
      manifests: { "profile.yaml": profile(spec), "egress.yaml": EGRESS, "route.yaml": overruled(web.port) },
    });
    await mesh.proxy("web");
    await mesh.proxy("canary");
    client = await mesh.proxy("client");
    const [addr] = client.addrs.outbound;
    assert.ok(addr);
    outbound = addr;
    base = `http://${NAME}:${web.port}`;
  });
  after(async () => {
    for (const { server } of [web, canary]) {
      server.closeAllConnections();
      server.close();
    }
    await mesh.close();
  });

  const metrics = async (): Promise<string> =>
    (await fetch(`http://${formatSocketAddr(client.addrs.admin)}/metrics`)).text();

  test("outbound 5.1: the profile is in force, the policy is not, and the server learns its name", async () => {
    const answer = await ask(outbound, `${base}/plain`);
    assert.deepEqual([answer.status, answer.body], [200, "web"]);
    assert.equal(web.seen[0]?.headers["l5d-dst-canonical"], `${NAME}:${web.port}`);
    assert.match(
      await metrics(),
      new RegExp(`route_request_total\\{direction="outbound",dst="${NAME}:${web.port}"\\} 1`),
    );
  });

  test("outbound 5.2: a retryable route repeats a request with its body until it succeeds", async () => {
    const answer = await ask(outbound, `${base}/flaky`, "an order");
    assert.deepEqual([answer.status, answer.body], [200, "web"]);
    const bodies = web.seen.filter(({ url }) => url === "/flaky").map(({ body }) => body);
    assert.deepEqual(bodies, ["an order", "an order", "an order"]);
    const page = await metrics();
    const labels = `direction="outbound",dst="${NAME}:${web.port}",rt_route="flaky"`;
    for (const line of [
      `route_request_total{${labels}} 1`,
      `route_actual_request_total{${labels}} 3`,
      `route_retryable_total{${labels}} 2`,
    ]) {
      assert.ok(page.includes(`${line}\n`), line);
    }
  });

  test("outbound 16.14: a profile's timeout is a 504 that closes the connection", async () => {
    const agent = new Agent({ keepAlive: true });
    const answer = await ask(outbound, `${base}/slow`, "", agent);
    assert.equal(answer.status, 504);
    assert.equal(answer.headers.connection, "close");
    assert.equal(
      answer.headers["l5d-proxy-error"],
      `logical service ${NAME}:${web.port}: HTTP response timeout after ${ROUTE_TIMEOUT}`,
    );
    agent.destroy();
  });

  test("outbound 16.20: HTTP to a denied egress host is a 403, and other bytes find no way", async () => {
    const answer = await ask(outbound, "http://127.0.0.9:8080/");
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["l5d-proxy-error"], "traffic not allowed");
    const tunnel = connect(outbound.port, "127.0.0.1");
    tunnel.write("CONNECT 127.0.0.9:8080 HTTP/1.1\r\nhost: 127.0.0.9:8080\r\n\r\n");
    const [head] = (await once(tunnel, "data")) as [Buffer];
    assert.match(head.toString(), /^HTTP\/1\.1 403 /);
    tunnel.destroy();
  });

  test("outbound 5.2: a profile's targets share its requests once it names them", async () => {
    const authority = `canary.shop.svc.cluster.local:${canary.port}`;
    const unfinished = join(mesh.dir, "profile.yaml");
    await writeFile(unfinished, profile(`dstOverrides: [{ authority: "${authority}", weight: 1 }]`));
    await rename(unfinished, join(mesh.dir, "resources", "profile.yaml"));
    const agent = new Agent({ keepAlive: true });
    for (;;) {
      const { status, body } = await ask(outbound, `${base}/split`, "", agent);
      assert.equal(status, 200);
      if (body === "canary") break;
    }
    agent.destroy();
    const before = web.seen.length;
    for (let i = 0; i < 20; i++) assert.equal((await ask(outbound, `${base}/split`)).body, "canary");
    assert.equal(web.seen.length, before);
  });
});
