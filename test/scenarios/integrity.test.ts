import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { integrity } from "../../bench/scenarios/integrity.ts";

const MIB = 1 << 20;

describe("bodies of every size through a pair of proxies", { timeout: 60_000 }, () => {
  it("arrive without one wrong byte over every protocol, many at once, while freed buffers are poisoned", async (t) => {
    // `npm run scenario -- integrity` has 200 at once of up to 64 MiB, for 5 minutes.
    const seed = Math.floor(Math.random() * 2 ** 32);
    t.diagnostic(`seed ${seed}`);
    const { tallies, failures } = await integrity({ seconds: 4, concurrency: 40, maxBytes: 8 * MIB, seed });
    assert.deepEqual(failures, []);
    assert.equal(tallies.size, 8);
    for (const [kind, { exchanges, bytes }] of tallies) {
      t.diagnostic(`${kind}: ${JSON.stringify(exchanges)}, ${(bytes / MIB).toFixed(0)} MiB`);
      for (const count of Object.values(exchanges)) assert.ok(count > 0, kind);
    }
  });
});
