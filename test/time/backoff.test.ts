import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Backoff } from "../../src/time/backoff.ts";

const pauses = (backoff: Backoff, count: number): number[] =>
  Array.from({ length: count }, () => backoff.next());

test("doubles from the minimum to the maximum, and starts anew after success", () => {
  const backoff = new Backoff({ minMs: 100, maxMs: 1000, jitter: 0 });
  assert.deepEqual(pauses(backoff, 6), [100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  assert.deepEqual(pauses(backoff, 2), [100, 200]);
});

test("chance adds a share of the base", () => {
  const backoff = new Backoff({ minMs: 100, maxMs: 1000, jitter: 0.5 }, () => 0.5);
  assert.deepEqual(pauses(backoff, 5), [125, 250, 500, 1000, 1000]);
});

test("never below the base nor above the maximum, however often it fails", () => {
  const params = fc.record({
    minMs: fc.integer({ min: 1, max: 10_000 }),
    maxMs: fc.integer({ min: 10_000, max: 1e9 }),
    jitter: fc.double({ min: 0, max: 100, noNaN: true }),
  });
  fc.assert(
    fc.property(params, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (p, chance) => {
      const backoff = new Backoff(p, () => chance);
      pauses(backoff, 100).forEach((pause, k) => {
        assert.ok(pause >= Math.min(p.maxMs, p.minMs * 2 ** Math.min(k, 30)));
        assert.ok(pause <= p.maxMs);
      });
    }),
  );
});
