import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  GrpcEcho,
  TcpEcho,
  grpcChannel,
  http1Get,
  http2Connect,
  http2Get,
  oneConnection,
} from "../support/app/clients.ts";
import { eventually } from "../support/app/eventually.ts";
import { Pair } from "../support/app/pair.ts";
import { policyManifest } from "../support/app/policy-manifest.ts";
import { NAMESPACE } from "../support/mesh-manifest.ts";

/** From the return of the control plane to the first update: streams come back after a pause that grows with each failure. */
const BACK_WITHIN_MS = 10_000;

/** A route that leaves its mark on every response. */
function routeManifest(port: number, mark: string): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: marked, namespace: ${NAMESPACE} }
spec:
  parentRefs: [{ group: core, kind: Service, name: web, port: ${port} }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-mark, value: ${mark} }] }
      backendRefs: [{ name: web, port: ${port} }]
`;
}

describe("a control plane that dies and comes back", { timeout: 60_000 }, () => {
  let pair: Pair;
  before(async () => {
    pair = await Pair.start({ manifests: { "policy.yaml": policyManifest(["client"]) } });
    await pair.mesh.writeManifest("other.yaml", otherService("other", pair.application.ports.http1));
  });
  after(() => pair.close());

  it("is not missed by traffic while it is gone, and is heard again when it is back", async (t) => {
    const { mesh, application, client } = pair;
    const { ports } = client;
    const agent = oneConnection();
    const session = await http2Connect(ports.http2);
    const channel = grpcChannel(ports.grpc);
    const stream = new GrpcEcho(channel);
    let tunnel = await TcpEcho.connect(ports.tcp);
    t.after(() => {
      agent.destroy();
      session.destroy();
      channel.close();
      tunnel.socket.destroy();
    });
    const proxied = (service: string) =>
      http1Get(
        client.sidecar.outboundPort,
        `http://${service}.${NAMESPACE}.svc.cluster.local:${application.ports.http1}/`,
      );
    const mark = async (): Promise<unknown> => (await http1Get(ports.http1, "/", agent)).headers["x-mark"];
    const useAll = async (message: string): Promise<void> => {
      assert.equal((await http1Get(ports.http1, "/", agent)).status, 200);
      assert.equal((await http2Get(session)).status, 200);
      await stream.echo(message);
      await tunnel.echo(message);
      // Connections made anew, to targets that are known.
      await pair.callAll();
    };
    await mesh.writeManifest("route.yaml", routeManifest(application.ports.http1, "before"));
    await eventually(2000, async () => {
      const found = await mark();
      return { yes: found === "before", found };
    });
    await useAll("before");

    await mesh.stopControlPlane("SIGKILL");
    for (let i = 0; i < 20; i++) await useAll(`without ${i}`);
    assert.equal(await mark(), "before");

    // Where a target is that nobody asked for before cannot be known now: whoever wants it waits.
    const waiting = proxied("other");
    const answered = waiting.then(() => true);
    assert.equal(await Promise.race([answered, pause(300, false)]), false);

    // What happens to the manifests meanwhile is learnt at the return.
    await mesh.writeManifest("route.yaml", routeManifest(application.ports.http1, "meanwhile"));
    const restartedAtMs = performance.now();
    await mesh.startControlPlane();
    const back = performance.now() - restartedAtMs;
    const routed = await eventually(BACK_WITHIN_MS, async () => {
      const found = await mark();
      return { yes: found === "meanwhile", found };
    });
    assert.equal((await waiting).status, 200);
    await useAll("back");

    await mesh.writeManifest("policy.yaml", policyManifest(["nobody"]));
    const forbidden = await eventually(BACK_WITHIN_MS, async () => {
      const { status } = await http1Get(ports.http1, "/", agent);
      return { yes: status === 403, found: status };
    });
    await tunnel.closed;
    await mesh.writeManifest("policy.yaml", policyManifest(["client"]));
    const allowed = await eventually(BACK_WITHIN_MS, async () => {
      const { status } = await http1Get(ports.http1, "/", agent);
      return { yes: status === 200, found: status };
    });
    tunnel = await TcpEcho.connect(ports.tcp);
    await useAll("allowed again");
    await mesh.writeManifest("late.yaml", otherService("late", application.ports.http1));
    const added = await eventually(BACK_WITHIN_MS, async () => {
      const { status } = await proxied("late");
      return { yes: status === 200, found: status };
    });
    t.diagnostic(
      `the control plane was back after ${back.toFixed(0)} ms; then took a route ${routed.toFixed(0)} ms, a policy ` +
        `${forbidden.toFixed(0)} and ${allowed.toFixed(0)} ms, a new service ${added.toFixed(0)} ms`,
    );
  });
});

/** Another service of the same workload. */
function otherService(name: string, port: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  selector: { app: web }
  ports: [{ name: http1, port: ${port}, targetPort: http1 }]
`;
}
