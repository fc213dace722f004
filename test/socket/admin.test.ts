import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { Mesh } from "../support/mesh.ts";
import { identityOf, NAMESPACE } from "../support/mesh-manifest.ts";
import { freePort } from "../support/process-mesh.ts";
import { metricsOf, serverManifest, sum } from "./pair.ts";
import type { RunningProxy } from "../../src/proxy.ts";

/** Who may ask what: `/live` and `/ready` anybody, `/metrics` only who has a certificate, and nobody anything else. */
const POLICY = `
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: { name: probes, namespace: ${NAMESPACE} }
spec:
  parentRefs: [{ group: policy.linkerd.io, kind: Server, name: admin }]
  rules:
    - matches: [{ path: { type: Exact, value: /live } }, { path: { type: Exact, value: /ready } }]
---
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: { name: scrapes, namespace: ${NAMESPACE} }
spec:
  parentRefs: [{ group: policy.linkerd.io, kind: Server, name: admin }]
  rules:
    - matches: [{ path: { type: Exact, value: /metrics } }]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: { name: admin, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: policy.linkerd.io, kind: Server, name: admin }
  total: { requestsPerSecond: 100 }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: { name: everywhere, namespace: ${NAMESPACE} }
spec: { networks: [{ cidr: 0.0.0.0/0 }] }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: probes, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: policy.linkerd.io, kind: HTTPRoute, name: probes }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: NetworkAuthentication, name: everywhere }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: meshed, namespace: ${NAMESPACE} }
spec: { identities: ["*"] }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: scrapes, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: policy.linkerd.io, kind: HTTPRoute, name: scrapes }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: MeshTLSAuthentication, name: meshed }
`;

describe("inbound 9.2: the admin port", { timeout: 20_000 }, () => {
  let mesh: Mesh;
  let open: RunningProxy;
  let guarded: RunningProxy;

  before(async () => {
    const port = await freePort();
    mesh = await Mesh.start({
      workloads: [
        { name: "open", ports: {}, proxyPort: await freePort() },
        { name: "web", ports: { admin: port }, proxyPort: await freePort() },
      ],
      manifests: { "server.yaml": serverManifest("admin", "admin", "HTTP/1"), "policy.yaml": POLICY },
    });
    open = await mesh.proxy("open");
    guarded = await mesh.proxy("web", { LINKERD2_PROXY_ADMIN_LISTEN_ADDR: `127.0.0.1:${port}` });
  });
  after(() => mesh.close());

  const tls = (servername: string): Socket => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: open.addrs.admin.port,
      servername,
      ca: mesh.controlPlane.trustAnchorsPem,
      checkServerIdentity: () => undefined,
    });
    socket.on("error", () => {});
    return socket;
  };
  const plain = (): Socket => connectTcp(open.addrs.admin.port, "127.0.0.1").on("error", () => {});
  const says = async (socket: Socket, bytes: string): Promise<string> => {
    socket.write(bytes);
    return text(socket).catch(() => "");
  };
  const GET = "GET /live HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
  const overH2 = async (socket: Socket): Promise<string> => {
    const session = connectHttp2("http://admin", { createConnection: () => socket });
    session.on("error", () => {});
    const body = await text(session.request({ ":path": "/live" }));
    session.destroy();
    return body;
  };
  const ask = async (path: string, method = "GET"): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${guarded.addrs.admin.port}${path}`, { method });
    await response.text();
    return response.status;
  };

  test("speaks HTTP/1 and HTTP/2, in clear text and in the mesh's TLS, without a client certificate", async () => {
    assert.match(await says(plain(), GET), /^HTTP\/1\.1 200 [^]*\r\n\r\nlive\n$/);
    assert.match(await says(tls(identityOf("open")), GET), /^HTTP\/1\.1 200 [^]*\r\n\r\nlive\n$/);
    assert.equal(await overH2(plain()), "live\n");
    assert.equal(await overH2(tls(identityOf("open"))), "live\n");
  });

  test("closes TLS that is meant for somebody else, and what is not HTTP", async () => {
    const elsewhere = tls("elsewhere.example");
    await new Promise((resolve) => elsewhere.on("close", resolve));
    assert.equal(elsewhere.bytesRead, 0);
    assert.equal(await says(plain(), "\0\x01\x02 nothing that is HTTP\r\n\r\n"), "");
  });

  test("takes a client whose first bytes tell too little for HTTP/1 after a second, HTTP/2 in TLS", async () => {
    const one = async (socket: Socket): Promise<string> => {
      socket.write("GET");
      const heard = text(socket).catch(() => "");
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      socket.write(" /live HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
      return heard;
    };
    const secure = tls(identityOf("open"));
    await once(secure, "secureConnect");
    const [clear, encrypted] = await Promise.all([one(plain()), one(secure)]);
    assert.match(clear, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(encrypted, /^HTTP\/1\.1/);
  });

  test("asks the policy of its port about each request: 403 without authorization, 404 without a route", async () => {
    assert.equal(await ask("/live"), 200);
    assert.equal(await ask("/ready"), 200);
    assert.equal(await ask("/metrics"), 403);
    assert.equal(await ask("/env.json"), 404);
    assert.equal(await ask("/shutdown", "POST"), 404);
  });

  test("answers 429 to more requests than the port's rate limit allows", async () => {
    const statuses = new Set<number>();
    for (let i = 0; i < 10 && !statuses.has(429); i++) {
      for (const status of await Promise.all(Array.from({ length: 50 }, () => ask("/live"))))
        statuses.add(status);
    }
    assert.deepEqual(statuses, new Set([200, 429]));
  });

  test("counts its requests as inbound traffic to the address where it listens", async () => {
    assert.equal((await fetch(`http://127.0.0.1:${open.addrs.admin.port}/live`)).status, 200);
    const page = await metricsOf(open);
    const at = { direction: "inbound", target_addr: `127.0.0.1:${open.addrs.admin.port}` };
    assert.ok(sum(page, "tcp_open_total", at) > 0);
    assert.ok(sum(page, "inbound_http_authz_allow_total", { target_addr: at.target_addr }) > 0);
    assert.equal(sum(page, "inbound_http_errors_total", {}), 0);
  });
});
