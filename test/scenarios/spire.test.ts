import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { loadWhileRotating } from "../../bench/scenarios/renewals.ts";
import { eventually } from "../support/app/eventually.ts";
import { metricSum } from "../support/app/metrics.ts";
import { Pair } from "../support/app/pair.ts";
import { policyManifest } from "../support/app/policy-manifest.ts";
import { TestCa } from "../support/certs.ts";
import { svidOf, WorkloadApi } from "../support/workload-api.ts";

const ROOT = TestCa.create();
const ISSUER = ROOT.intermediate();
const CLIENT = "spiffe://root.linkerd.cluster.local/client";
const WEB = "spiffe://root.linkerd.cluster.local/web";

/** New SVIDs for both workloads, which one agent offers to both. */
const rotated = () => ({ svids: [CLIENT, WEB].map((id) => svidOf(id, ISSUER.issue({ id }))) });

const EXPIRY = "control_identity_cert_expiration_timestamp_seconds";
const REFRESHES = "control_identity_cert_refreshes_total";

describe("proxies whose identity comes from a SPIRE agent", { timeout: 60_000 }, () => {
  let agent: WorkloadApi;
  let pair: Pair;
  before(async () => {
    agent = await WorkloadApi.start(rotated());
    const { socketPath } = agent;
    pair = await Pair.start({
      spire: { client: { id: CLIENT, socketPath }, web: { id: WEB, socketPath } },
      furtherAnchorsPem: ROOT.certPem,
      // Everybody else is refused, so that every answer proves who asked.
      manifests: { "policy.yaml": policyManifest([CLIENT]) },
    });
  });
  after(async () => {
    await pair.close();
    await agent.close();
  });

  it("are renewed under load without one failed request, through an agent that restarts", async (t) => {
    let rotations = 0;
    const rotate = setInterval(() => {
      rotations++;
      agent.publish(rotated());
    }, 150);
    const restart = setTimeout(() => {
      agent.kill();
      void agent.listen();
    }, 1200);
    const result = await loadWhileRotating(pair, { seconds: 3, perSecond: 20 });
    clearInterval(rotate);
    clearTimeout(restart);
    assert.deepEqual(result.failures, []);
    for (const [kind, count] of Object.entries(result.requests)) assert.ok(count > 5, `${kind}: ${count}`);
    const { outbound, inbound } = result.renewals;
    assert.ok(outbound >= 5 && inbound >= 5, `renewed ${outbound} and ${inbound} times`);
    // Each TCP connection is a handshake of its own.
    assert.ok(result.handshakes >= (result.requests["TCP, new connection"] ?? 0));
    t.diagnostic(
      `${Object.values(result.requests).reduce((sum, n) => sum + n)} requests, ${result.handshakes} handshakes, ` +
        `${rotations} rotations, renewed ${outbound} and ${inbound} times`,
    );
  });

  it("keep their SVID while the agent has nothing for them, and take the next", async () => {
    const { adminPort } = pair.client.sidecar;
    const expiry = await metricSum(adminPort, EXPIRY);
    agent.publish({ svids: [svidOf(WEB, ISSUER.issue({ id: WEB }))] });
    agent.refuse({ code: status.PERMISSION_DENIED, details: "no identity issued" });
    await eventually(5000, async () => {
      const log = await pair.mesh.log("client");
      return { yes: log.includes("no identity issued"), found: log };
    });
    await pair.callAll();
    assert.equal(await metricSum(adminPort, EXPIRY), expiry);
    const notAfterMs = Date.now() + 1_800_000;
    agent.publish({ svids: [svidOf(CLIENT, ISSUER.issue({ id: CLIENT, notAfterMs }))] });
    await eventually(5000, async () => {
      const found = await metricSum(adminPort, EXPIRY);
      return { yes: found === Math.floor(notAfterMs / 1000), found };
    });
    await pair.callAll();
  });

  it("refuse an SVID that does not chain, and count it", async () => {
    const { adminPort } = pair.client.sidecar;
    const errors = (): Promise<number> => metricSum(adminPort, REFRESHES, 'result="error"');
    assert.equal(await errors(), 0);
    agent.publish({ svids: [svidOf(CLIENT, TestCa.create().issue({ id: CLIENT }))] });
    await eventually(5000, async () => {
      const found = await errors();
      return { yes: found === 1, found };
    });
    await pair.callAll();
  });

  it("wait for an agent that is not there yet, unready and saying so", async () => {
    agent.kill();
    const { mesh } = pair;
    await mesh.stop(pair.client.sidecar.process);
    const started = mesh.sidecar("client");
    await eventually(10_000, async () => {
      const log = await mesh.log("client");
      return { yes: /SPIRE agent gives no SVID.*(ECONNREFUSED|ENOENT)/.test(log), found: log };
    });
    agent.publish(rotated());
    await agent.listen();
    await started;
  });
});
