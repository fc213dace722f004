import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bulk } from "../../bench/scenarios/bulk.ts";

/** Enough that a proxy which kept what the reader has not taken would show; `npm run scenario -- bulk` moves 100 MiB. */
const BYTES = 8 << 20;

/** Above what an idle proxy takes. The same bound as for 100 MiB: most of it is the garbage of the first requests. */
const GROWTH_MAX_MIB = 64;

describe("bulk transfers through a pair of proxies", { timeout: 60_000 }, () => {
  it("arrive byte for byte at a reader ten times slower than the writer, and leave no trace in memory", async (t) => {
    const transfers = await bulk(BYTES, ({ protocol, direction, slowMiBPerSecond, growthMiB }) => {
      const { outbound, inbound } = growthMiB;
      t.diagnostic(
        `${protocol} ${direction}: ${slowMiBPerSecond.toFixed(0)} MiB/s, grown by ${outbound.toFixed(0)} and ${inbound.toFixed(0)} MiB`,
      );
    });
    assert.equal(transfers.length, 8);
    for (const { protocol, direction, growthMiB } of transfers) {
      const most = Math.max(growthMiB.outbound, growthMiB.inbound);
      assert.ok(most < GROWTH_MAX_MIB, `${protocol} ${direction}: a proxy grew by ${most.toFixed(1)} MiB`);
    }
  });
});
