import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { brokenPromises } from "../../bench/scenarios/rotation-result.ts";
import { rotation } from "../../bench/scenarios/rotation.ts";

describe("invariant 4, ranked 6: a mesh that moves to another trust anchor", { timeout: 60_000 }, () => {
  it("loses no request and no stream, renews in time, and shows new connections the new certificates", async (t) => {
    // `npm run scenario -- rotation` takes a life of 15 seconds and five minutes.
    const result = await rotation({ lifetimeSeconds: 2, seconds: 7 });
    assert.deepEqual(brokenPromises(result), []);
    for (const [kind, count] of Object.entries(result.requests)) assert.ok(count > 0, kind);
    const requests = Object.values(result.requests).reduce((sum, n) => sum + n);
    t.diagnostic(
      `${requests} exchanges, ${result.handshakes} handshakes, renewed ${JSON.stringify(result.renewals)}`,
    );
  });
});
