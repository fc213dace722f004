import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VersionHistory, type Observed } from "../../bench/scenarios/policy-churn-history.ts";
import { allows, CLIENTS, PROTOCOLS } from "../../bench/scenarios/policy-churn-policy.ts";
import {
  brokenPromises,
  policyChurnText,
  type PolicyChurnResult,
} from "../../bench/scenarios/policy-churn-result.ts";
import { policyChurn } from "../../bench/scenarios/policy-churn.ts";

describe("a policy that is replaced all the time", { timeout: 120_000 }, () => {
  it("invariant 18: is never seen as a mixture of two, lets in nobody that it does not, and is in force within a second", async (t) => {
    // `npm run scenario -- policy-churn` makes 1,000 updates in a minute.
    // Other tests run beside this one: here an update may take longer.
    const result = await policyChurn({ seconds: 5, updates: 85, steadySeconds: 1, inForceWithinMs: 3_000 });
    t.diagnostic(policyChurnText(result));
    assert.deepEqual(brokenPromises(result), []);
  });
});

describe("the judgement of a decision", () => {
  const history = new VersionHistory(100);
  for (let version = 0; version < 10; version++) history.wrote(version, version * 1000, version * 1000 + 10);
  const judge = (sentAtMs: number, outcome: Observed["outcome"]): string | undefined =>
    history.judge({ client: "anna", protocol: "http1", sentAtMs, answeredAtMs: sentAtMs + 5, outcome });
  const by = (version: number): Observed["outcome"] => ({ kind: "admitted", version });

  it("takes the version in force, and the one before for as long as an update may take", () => {
    assert.equal(judge(2_500, by(2)), undefined);
    assert.equal(judge(4_050, by(4)), undefined);
    assert.equal(judge(3_050, by(2)), undefined);
    assert.equal(judge(3_050, { kind: "refused" }), undefined);
    assert.equal(judge(3_500, { kind: "refused" }), undefined);
  });

  it("names a mixture, a version out of its time, and a refusal that nobody decided", () => {
    assert.match(judge(3_500, by(3)) ?? "", /was let in under version 3, which does not: a mixture$/);
    assert.match(judge(3_500, by(2)) ?? "", /was routed by version 2, though 3 to 3 were possible$/);
    assert.match(judge(2_500, by(4)) ?? "", /was routed by version 4, though 2 to 2 were possible$/);
    assert.match(
      judge(2_500, { kind: "refused" }) ?? "",
      /was refused, though none of versions 2 to 2 says so$/,
    );
  });

  it("is about versions that differ from their neighbours, for every client", () => {
    for (const client of CLIENTS) {
      for (const protocol of PROTOCOLS) {
        const decisions = Array.from({ length: 120 }, (_, version) => allows(version, client, protocol));
        assert.deepEqual(new Set(decisions), new Set([true, false]), `${client} over ${protocol}`);
      }
    }
    for (let version = 0; version < 24; version++) {
      const changes = CLIENTS.some((c) => allows(version, c, "http1") !== allows(version + 1, c, "http1"));
      assert.equal(changes, true, `version ${version}`);
    }
  });

  it("names a proxy that kept what it replaced, and clients that were never let in or never refused", () => {
    const good: PolicyChurnResult = {
      updates: 10,
      seconds: 60,
      exchanges: [{ who: "anna http1", admitted: 1, refused: 1 }],
      inForceAfterMs: [30, 40, 30, 50, 60],
      memoryMiB: { web: { before: 20, after: 21 } },
      failures: [],
    };
    assert.deepEqual(brokenPromises(good), []);
    const bad = {
      ...good,
      exchanges: [{ who: "anna http1", admitted: 3, refused: 0 }],
      inForceAfterMs: [30],
      memoryMiB: { web: { before: 20, after: 29 } },
    };
    assert.deepEqual(brokenPromises(bad), [
      "web grew from 20.0 to 29.0 MiB",
      "anna http1: 3 admitted and 0 refused, expected both",
      "only 1 of 10 versions were seen in force",
    ]);
  });
});
