import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rotation } from "../../bench/scenarios/rotation.ts";

describe("certificates that run out", { timeout: 60_000 }, () => {
  it("are renewed under load without one failed request", async (t) => {
    // `npm run scenario -- rotation` takes a life of 20 seconds and a minute.
    const result = await rotation({ lifetimeSeconds: 3, seconds: 8, perSecond: 20 });
    assert.deepEqual(result.failures, []);
    for (const [kind, count] of Object.entries(result.requests)) assert.ok(count > 50, `${kind}: ${count}`);
    const { outbound, inbound } = result.renewals;
    assert.ok(outbound >= 2 && inbound >= 2, `renewed ${outbound} and ${inbound} times`);
    assert.ok(result.firstExpiredSecondsBeforeEnd > 2, "the first certificates were still good at the end");
    // Each TCP connection is a handshake of its own.
    assert.ok(
      result.handshakes >= (result.requests["TCP, new connection"] ?? 0),
      `${result.handshakes} handshakes`,
    );
    t.diagnostic(
      `${Object.values(result.requests).reduce((sum, n) => sum + n)} requests, ${result.handshakes} handshakes, ` +
        `renewed ${outbound} and ${inbound} times`,
    );
  });
});
