import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { SuccessRateWindow } from "../../src/failure-accrual/success-rate.ts";

test("answers that are older than the window do not count", () => {
  const window = new SuccessRateWindow(10_000, 0);
  for (let i = 0; i < 9; i++) window.record(false, 0);
  window.record(true, 9_999);
  assert.equal(window.isBelow(0.5, 10), true);
  window.record(true, 10_000);
  assert.equal(window.isBelow(0.5, 1), false, "two successes are left");
});

test("an empty window is never below anything", () => {
  const window = new SuccessRateWindow(10_000, 0);
  assert.equal(window.isBelow(1, 0), false);
  window.record(false, 0);
  assert.equal(window.isBelow(1, 0), true);
  window.reset(5);
  assert.equal(window.isBelow(1, 0), false);
});

test("after a long silence it starts anew", () => {
  const window = new SuccessRateWindow(100, 0);
  for (let i = 0; i < 50; i++) window.record(false, i);
  window.record(true, 1e9);
  window.record(false, 1e9 + 5);
  assert.equal(window.isBelow(0.5, 2), false);
  assert.equal(window.isBelow(0.51, 2), true);
});

test("a window shorter than ten milliseconds counts as ten", () => {
  const window = new SuccessRateWindow(0, 0);
  window.record(false, 0);
  window.record(true, 9);
  assert.equal(window.isBelow(0.6, 2), true);
  window.record(true, 10);
  assert.equal(window.isBelow(0.6, 2), false);
});

test("agrees with a list of all answers, up to one slice", () => {
  const windowMs = 1_000;
  const answers = fc.array(fc.tuple(fc.boolean(), fc.nat(400)), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(answers, fc.integer({ min: 1, max: 10 }), (all, minRequests) => {
      const window = new SuccessRateWindow(windowMs, 0);
      const seen: { atMs: number; good: boolean }[] = [];
      let now = 0;
      for (const [good, gap] of all) {
        now += gap;
        seen.push({ atMs: now, good });
        window.record(good, now);
        // The oldest live slice begins at the start of a slice.
        const since = Math.floor(now / 100) * 100 - 900;
        const live = seen.filter(({ atMs }) => atMs >= since);
        const rate = live.filter((answer) => answer.good).length / live.length;
        assert.equal(window.isBelow(0.75, minRequests), live.length >= minRequests && rate < 0.75);
      }
    }),
  );
});
