import assert from "node:assert/strict";
import { it } from "node:test";
import { renewalDelayMs } from "../../src/identity/renewal.ts";

const bounds = { minMs: 10_000, maxMs: 86_400_000 };
const HOUR_MS = 3_600_000;

it("renews at 70% of the life that remains, within the bounds", () => {
  const now = 1_000_000;
  const cases: readonly [number | undefined, number][] = [
    [undefined, 10_000],
    [now, 10_000],
    [now - 1, 10_000],
    [now + 24 * HOUR_MS, 16.8 * HOUR_MS],
    [now + 20_000, 14_000],
    [now + 10_000, 10_000],
    [now + 1000 * HOUR_MS, 86_400_000],
  ];
  for (const [expiry, expected] of cases) assert.equal(renewalDelayMs(expiry, now, bounds), expected);
});
