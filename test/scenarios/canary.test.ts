import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  brokenPromises,
  canaryText,
  deviationMax,
  type CanaryStep,
} from "../../bench/scenarios/canary-result.ts";
import { canary } from "../../bench/scenarios/canary.ts";

describe("weights that shift from one backend to another", { timeout: 60_000 }, () => {
  it("split requests as asked at each step, and fail none on the way", async (t) => {
    // `npm run scenario -- canary` has 10,000 requests a step.
    const result = await canary({ requests: 400 }, () => {});
    t.diagnostic(canaryText(result));
    assert.deepEqual(brokenPromises(result), []);
    assert.deepEqual(
      result.steps.map(({ weights }) => weights.canary),
      [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
    );
  });
});

describe("the judgement of a split", () => {
  it("allows 1.5 percentage points at 10,000 requests, four deviations of chance below, nothing at a weight of 0", () => {
    assert.equal(deviationMax(0.5, 10_000), 0.015);
    assert.equal(deviationMax(0.5, 400), 0.1);
    assert.equal(deviationMax(0.1, 900), 0.04);
    assert.equal(deviationMax(0, 10), 0);
    assert.equal(deviationMax(1, 10_000), 0);
  });

  const half = (toCanary: number): CanaryStep => ({
    weights: { before: 50, canary: 50 },
    requests: 10_000,
    toCanary,
    inForceAfterMs: 200,
  });

  it("names a split that is off, and each request that failed", () => {
    assert.deepEqual(brokenPromises({ steps: [half(5_150)], requests: 10_000, failures: [] }), []);
    assert.deepEqual(brokenPromises({ steps: [half(4_849)], requests: 10_000, failures: ["status 503"] }), [
      "split at 50/50: off by 1.51 percentage points, expected at most 1.50",
      "failed request: status 503",
    ]);
  });
});
