import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bulk } from "../../bench/scenarios/bulk.ts";

const MIB = 1 << 20;

/** `npm run scenario -- bulk` moves 100 MiB to the slow reader too. */
const SLOW_BYTES = 4 * MIB;

/** More than a proxy may grow by: one that does not hold the writer back is found out. */
const STALLED_BYTES = 72 * MIB;

/** Each protocol in one direction, each direction twice. */
const ONLY: ReadonlySet<string> = new Set([
  "HTTP/1 upload",
  "HTTP/2 download",
  "gRPC upload",
  "TCP download",
]);

const GROWTH_MAX_MIB = 64;

/** The kernel's buffers of three connections, on both sides of each. */
const AHEAD_MAX_MIB = 48;

const only = (protocol: string, direction: string): boolean => ONLY.has(`${protocol} ${direction}`);

describe("bulk transfers through a pair of proxies", { timeout: 60_000 }, () => {
  it("arrive byte for byte, and wait with the writer when the reader is slow or stalled", async (t) => {
    const results = await bulk({ slowBytes: SLOW_BYTES, stalledBytes: STALLED_BYTES, only }, (result) => {
      const { protocol, direction, slowMiBPerSecond, aheadMiB, growthMiB } = result;
      t.diagnostic(
        `${protocol} ${direction}: ${slowMiBPerSecond.toFixed(1)} MiB/s to the slow reader, ${aheadMiB.toFixed(1)} MiB ahead ` +
          `of the stalled one, proxies grown by ${growthMiB.outbound.toFixed(0)} and ${growthMiB.inbound.toFixed(0)} MiB`,
      );
    });
    assert.equal(results.length, ONLY.size);
    for (const { protocol, direction, growthMiB, aheadMiB } of results) {
      const most = Math.max(growthMiB.outbound, growthMiB.inbound);
      assert.ok(most < GROWTH_MAX_MIB, `${protocol} ${direction}: a proxy grew by ${most.toFixed(1)} MiB`);
      assert.ok(aheadMiB < AHEAD_MAX_MIB, `${protocol} ${direction}: ${aheadMiB.toFixed(1)} MiB ahead`);
    }
  });
});
