import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { RetryTokens } from "../../src/policy/retry-tokens.ts";

const TTL_MS = 10_000;

/** How many withdrawals succeed at `nowMs` before one fails. */
function drain(tokens: RetryTokens, nowMs: number): number {
  let count = 0;
  while (tokens.withdraw(nowMs)) if (++count > 1_000_000) throw new Error("the budget never runs out");
  return count;
}

function tokensOf(retryRatio: number, minRetriesPerSecond: number, ttlMs = TTL_MS): RetryTokens {
  // Ratios arrive as 32-bit floats.
  return new RetryTokens({ retryRatio: Math.fround(retryRatio), minRetriesPerSecond, ttlMs }, 0);
}

function deposit(tokens: RetryTokens, count: number, nowMs: number): void {
  for (let i = 0; i < count; i++) tokens.deposit(nowMs);
}

describe("outbound 5.2: a retry budget", () => {
  test("allows its minimum for the whole time to live at once, without any traffic", () => {
    assert.equal(drain(tokensOf(0.2, 10), 0), 100);
    assert.equal(drain(tokensOf(0, 10), 0), 100);
    assert.equal(drain(tokensOf(2, 10), 0), 100);
    assert.equal(drain(tokensOf(0.2, 0), 0), 0);
  });

  test("counts whole seconds of its time to live", () => {
    assert.equal(drain(tokensOf(0.2, 10, 1_999), 0), 10);
  });

  const shares: readonly (readonly [ratio: number, deposits: number, retries: number])[] = [
    [0, 100, 0],
    [0.1, 100, 10],
    // 1/0.2 is 5 as a 32-bit float and 4.99 as a double: the latter would allow a retry for four requests.
    [0.2, 4, 0],
    [0.2, 100, 20],
    [0.3, 100, 33],
    [1, 100, 100],
    // A token costs floor(1/0.7) = 1.
    [0.7, 100, 100],
    [2, 100, 200],
    [1000, 1, 1000],
  ];
  for (const [ratio, deposits, retries] of shares) {
    test(`of ratio ${ratio} allows ${retries} retries for ${deposits} requests`, () => {
      const tokens = tokensOf(ratio, 0);
      deposit(tokens, deposits, 0);
      assert.equal(drain(tokens, 0), retries);
    });
  }

  test("forgets what was paid in once its time to live has passed, and no earlier", () => {
    const tokens = tokensOf(1, 0);
    deposit(tokens, 3, 0);
    assert.ok(tokens.withdraw(TTL_MS - 1));
    const late = tokensOf(1, 0);
    deposit(late, 3, 0);
    assert.equal(drain(late, TTL_MS * 1.2), 0);
  });

  test("forgets what was paid out in the same way: the reserve is there again", () => {
    const tokens = tokensOf(0.2, 1);
    assert.equal(drain(tokens, 0), 10);
    assert.equal(drain(tokens, TTL_MS / 2), 0);
    assert.equal(drain(tokens, TTL_MS * 1.2), 10);
  });

  test("is none the worse for years of silence", () => {
    const tokens = tokensOf(0.2, 1);
    drain(tokens, 0);
    assert.equal(drain(tokens, 1e12), 10);
    deposit(tokens, 5, 1e12 + TTL_MS * 3);
    assert.equal(drain(tokens, 1e12 + TTL_MS * 3), 11);
  });

  test("holds at the edges of what a profile may say", () => {
    assert.equal(tokensOf(1e-38, 0).withdraw(0), false);
    assert.equal(tokensOf(1e-38, 1).withdraw(0), true);
    assert.ok(tokensOf(1000, 2 ** 31 - 1, 60_000).withdraw(0));
  });

  test("faults OV-09: adds at most its share to the load, however requests and failures are mixed", () => {
    const events = fc.array(fc.tuple(fc.boolean(), fc.nat(200)), { maxLength: 200 });
    fc.assert(
      fc.property(events, fc.constantFrom(0.1, 0.2, 0.5, 1), fc.nat(3), (list, ratio, min) => {
        const tokens = tokensOf(ratio, min);
        let nowMs = 0;
        let successes = 0;
        let retries = 0;
        for (const [succeeds, waitMs] of list) {
          nowMs += waitMs;
          if (succeeds) {
            successes++;
            tokens.deposit(nowMs);
          } else if (tokens.withdraw(nowMs)) retries++;
          // Each time to live that has begun may use the reserve once.
          const reserve = min * (TTL_MS / 1000) * (1 + Math.ceil(nowMs / TTL_MS));
          assert.ok(retries <= reserve + successes * ratio * 1.0001, `${retries} retries`);
        }
      }),
    );
  });
});
