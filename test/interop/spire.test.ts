import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/app/eventually.ts";
import { metricSum } from "../support/app/metrics.ts";
import { Pair } from "../support/app/pair.ts";
import { policyManifest } from "../support/app/policy-manifest.ts";
import { TestCa } from "../support/certs.ts";
import { Spire } from "../support/spire-binaries.ts";

const { SPIRE_AGENT: agentProgram = "", SPIRE_SERVER: serverProgram = "" } = process.env;
const skip =
  agentProgram === "" || serverProgram === ""
    ? "no real SPIRE to test with: SPIRE_AGENT and SPIRE_SERVER name no programs"
    : false;

const TRUST_DOMAIN = "root.linkerd.cluster.local";
const CLIENT = `spiffe://${TRUST_DOMAIN}/client`;
const WEB = `spiffe://${TRUST_DOMAIN}/web`;

describe("proxies and a real SPIRE agent", { skip, timeout: 180_000 }, () => {
  let spire: Spire;
  let pair: Pair;
  before(async () => {
    const root = TestCa.create({ name: TRUST_DOMAIN });
    spire = await Spire.start({
      serverProgram,
      agentProgram,
      trustDomain: TRUST_DOMAIN,
      root,
      // Both belong to our user: the agent offers each proxy both.
      ids: [CLIENT, WEB],
      lifetimeSeconds: 20,
    });
    const { socketPath } = spire;
    pair = await Pair.start({
      spire: { client: { id: CLIENT, socketPath }, web: { id: WEB, socketPath } },
      furtherAnchorsPem: root.certPem,
      manifests: { "policy.yaml": policyManifest([CLIENT]) },
    });
  });
  after(async () => {
    await pair?.close();
    await spire?.close();
  });

  it("know each other by their SVIDs, and take new ones as the agent renews them", async (t) => {
    await pair.callAll();
    for (const { adminPort } of [pair.client.sidecar, pair.server]) {
      const waitedMs = await eventually(90_000, async () => {
        const found = await metricSum(adminPort, "control_identity_cert_refreshes_total", 'result="ok"');
        return { yes: found >= 3, found };
      });
      assert.equal(await metricSum(adminPort, "control_identity_cert_refreshes_total", 'result="error"'), 0);
      t.diagnostic(`renewed twice after ${(waitedMs / 1000).toFixed(1)} s`);
      await pair.callAll();
    }
  });
});
