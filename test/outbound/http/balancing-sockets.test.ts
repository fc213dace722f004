import assert from "node:assert/strict";
import type { RequestListener, Server } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { httpApp, portOf, until } from "../../socket/pair.ts";
import { http1Get } from "../../support/app/clients.ts";
import { eventually } from "../../support/app/eventually.ts";
import { NAMESPACE } from "../../support/mesh-manifest.ts";
import { Mesh } from "../../support/mesh.ts";
import { freePort, ProcessMesh } from "../../support/process-mesh.ts";

/** A Service without selector, whose endpoints are the given ports of this machine, not meshed. */
function serviceManifest(name: string, ports: readonly number[], annotations = ""): string {
  const slices = ports.map(
    (port) => `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-${port}, namespace: ${NAMESPACE}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: [127.0.0.1] }]
ports: [{ name: http, port: ${port} }]
`,
  );
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE}, annotations: { ${annotations} } }
spec: { ports: [{ name: http, port: 80 }] }
${slices.join("")}`;
}

const BREAKER = [
  "balancer.linkerd.io/failure-accrual: consecutive",
  'balancer.linkerd.io/failure-accrual-consecutive-max-failures: "7"',
  "balancer.linkerd.io/failure-accrual-consecutive-min-penalty: 300ms",
  'balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio: "0"',
].join(", ");
const PENALTY = 'balancer.alpha.linkerd.io/penalize-failures: "true"';

/** From the return of the control plane to the first update: streams come back after a pause that grows with each failure. */
const BACK_WITHIN_MS = 10_000;

/** An application that answers as it is told and remembers when it was asked. */
class App {
  readonly askedAtMs: number[] = [];
  answer: RequestListener = (_, response) => response.end("ok");
  readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(): Promise<App> {
    const app: App = new App(
      await httpApp((request, response) => {
        app.askedAtMs.push(performance.now());
        app.answer(request, response);
      }),
    );
    return app;
  }

  get port(): number {
    return portOf(this.server);
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

function status(code: number): RequestListener {
  return (_, response) => response.writeHead(code).end();
}

describe("balancing over sockets", { timeout: 30_000 }, () => {
  const services = ["broken", "limited", "slow", "refused", "penalized", "all-broken"] as const;
  const apps = new Map<(typeof services)[number], readonly [App, App]>();
  const forwards = new Map<(typeof services)[number], number>();
  let mesh: Mesh;

  before(async () => {
    const manifests: Record<string, string> = {};
    for (const name of services) {
      const pair = [await App.start(), await App.start()] as const;
      apps.set(name, pair);
      forwards.set(name, await freePort());
      const ports = name === "refused" ? [await freePort()] : pair.map((app) => app.port);
      const annotations = name === "slow" ? "" : name === "penalized" ? PENALTY : BREAKER;
      manifests[`${name}.yaml`] = serviceManifest(name, ports, annotations);
    }
    mesh = await Mesh.start({
      workloads: [{ name: "client", ports: {}, proxyPort: await freePort() }],
      manifests,
    });
    const forward = services.map(
      (s) => `127.0.0.1:${forwards.get(s)}=${s}.${NAMESPACE}.svc.cluster.local:80`,
    );
    await mesh.proxy("client", {
      OUTRIGGER_FORWARD: forward.join(","),
      LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT: "150ms",
      LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
    });
  });

  after(async () => {
    for (const pair of apps.values()) for (const app of pair) app.close();
    await mesh.close();
  });

  function appsOf(service: (typeof services)[number]): readonly [App, App] {
    const pair = apps.get(service);
    assert.ok(pair !== undefined);
    return pair;
  }

  const ask = (service: (typeof services)[number]): Promise<{ status: number }> =>
    http1Get(forwards.get(service) ?? 0);

  test("outbound 16.11: an endpoint that answers seven 5xx is left alone, tried once, and used again when it is well", async () => {
    const [bad, good] = appsOf("broken");
    bad.answer = status(500);
    await until("seven failures", async () => {
      await ask("broken");
      return bad.askedAtMs.length === 7;
    });
    const trippedAtMs = performance.now();
    while (performance.now() - trippedAtMs < 200) assert.equal((await ask("broken")).status, 200);
    assert.equal(bad.askedAtMs.length, 7);
    await until("a trial", async () => {
      await ask("broken");
      return bad.askedAtMs.length === 8;
    });
    assert.ok((bad.askedAtMs[7] ?? 0) - (bad.askedAtMs[6] ?? 0) >= 299);
    bad.answer = status(200);
    await until("it is used again", async () => {
      assert.equal((await ask("broken")).status, 200);
      return bad.askedAtMs.length > 20;
    });
    assert.ok((bad.askedAtMs[8] ?? 0) - (bad.askedAtMs[7] ?? 0) >= 599, "the second pause is twice as long");
    assert.ok(good.askedAtMs.length > 0);
  });

  test("outbound 16.11: 429s never take an endpoint out", async () => {
    for (const app of appsOf("limited")) app.answer = status(429);
    for (let i = 0; i < 40; i++) assert.equal((await ask("limited")).status, 429);
  });

  test("outbound 7.5: with all endpoints shut requests get 504 after the wait, then 503 at once, until one is well", async () => {
    for (const app of appsOf("all-broken")) app.answer = status(500);
    for (let i = 0; i < 14; i++) assert.equal((await ask("all-broken")).status, 500);
    assert.equal((await ask("all-broken")).status, 504);
    assert.equal((await ask("all-broken")).status, 503);
    for (const app of appsOf("all-broken")) app.answer = status(200);
    await until("the pause is over", async () => (await ask("all-broken")).status === 200);
  });

  test("outbound 16.8: an endpoint that refuses connections answers 502 at once, until its breaker has counted seven", async () => {
    for (let i = 0; i < 7; i++) assert.equal((await ask("refused")).status, 502);
    assert.equal((await ask("refused")).status, 504);
  });

  test("outbound 16.10: an endpoint that takes 200 ms gets a small share beside one that takes 5 ms", async () => {
    const [slow, fast] = appsOf("slow");
    slow.answer = (_, response) => void pause(200).then(() => response.end());
    fast.answer = (_, response) => void pause(5).then(() => response.end());
    const clients = Array.from({ length: 4 }, async () => {
      for (let i = 0; i < 50; i++) await ask("slow");
    });
    await Promise.all(clients);
    assert.ok(slow.askedAtMs.length <= 20, `${slow.askedAtMs.length} of 200`);
    assert.ok(fast.askedAtMs.length >= 180);
  });

  test("outbound 6.3: where failures are load, an endpoint that fails fast is not preferred", async () => {
    const [failing, slow] = appsOf("penalized");
    failing.answer = (_, response) => response.writeHead(503, { "retry-after": "30" }).end();
    slow.answer = (_, response) => void pause(5).then(() => response.end());
    for (let i = 0; i < 100; i++) await ask("penalized");
    assert.ok(failing.askedAtMs.length <= 2, `${failing.askedAtMs.length} of 100`);
  });
});

test(
  "outbound 16.19: endpoints outlive the control plane, and those that vanished meanwhile go when it is back",
  { timeout: 30_000 },
  async (t) => {
    const [staying, leaving] = [await App.start(), await App.start()];
    const mesh = await ProcessMesh.start({
      workloads: [{ name: "client", ports: {}, proxyPort: await freePort() }],
      manifests: { "web.yaml": serviceManifest("web", [staying.port, leaving.port]) },
    });
    t.after(async () => {
      staying.close();
      leaving.close();
      await mesh.close();
    });
    const { forwardPorts } = await mesh.sidecar("client", [`web.${NAMESPACE}.svc.cluster.local:80`]);
    const ask = async (): Promise<void> => assert.equal((await http1Get(forwardPorts[0] ?? 0)).status, 200);
    const bothAreAsked = (what: string): Promise<void> => {
      const before = [staying.askedAtMs.length, leaving.askedAtMs.length] as const;
      return until(what, async () => {
        await ask();
        return staying.askedAtMs.length > before[0] && leaving.askedAtMs.length > before[1];
      });
    };
    await bothAreAsked("both are used");

    await mesh.stopControlPlane("SIGKILL");
    await mesh.writeManifest("web.yaml", serviceManifest("web", [staying.port]));
    await bothAreAsked("both are used while the control plane is away");

    await mesh.startControlPlane();
    // The stream comes back after a pause. While both are known, the slow one would hardly be asked.
    staying.answer = (_, response) => void pause(20).then(() => response.end());
    await eventually(BACK_WITHIN_MS, async () => {
      const before = leaving.askedAtMs.length;
      for (let i = 0; i < 10; i++) await ask();
      const found = leaving.askedAtMs.length - before;
      return { yes: found === 0, found };
    });
  },
);
