import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { Ewma } from "../../src/balance/ewma.ts";
import { PeakEwma } from "../../src/balance/peak-ewma.ts";
import { PenaltyPeakEwma } from "../../src/balance/penalty-peak-ewma.ts";

function near(actual: number, expected: number): void {
  assert.ok(
    Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${actual} is not ${expected}`,
  );
}

const E_1 = Math.exp(-1);
const positive = fc.double({ min: 0, max: 1e6, noNaN: true });

describe("Ewma", () => {
  test("keeps 37% of its value over one decay time of silence", () => {
    const ewma = new Ewma(1000, 100, 0);
    near(ewma.decayed(1000), 100 * E_1);
    assert.equal(ewma.value, 100, "looking changes nothing");
    near(ewma.decay(1000), 100 * E_1);
    near(ewma.decay(2000), 100 * E_1 * E_1);
  });

  test("blends samples by the time between them", () => {
    const ewma = new Ewma(1000, 100, 0);
    ewma.add(50, 1000);
    near(ewma.value, 100 * E_1 + 50 * (1 - E_1));
    ewma.add(7, 1000);
    near(ewma.value, 100 * E_1 + 50 * (1 - E_1));
  });

  test("takes a peak at once and falls slowly", () => {
    const ewma = new Ewma(1000, 10, 0);
    ewma.addPeak(500, 1);
    assert.equal(ewma.value, 500);
    ewma.addPeak(0, 1001);
    near(ewma.value, 500 * E_1);
  });

  test("a clock that stands still or goes back does no harm", () => {
    const ewma = new Ewma(1000, 10, 5000);
    assert.equal(ewma.decay(4000), 10);
    ewma.add(99, 4000);
    assert.equal(ewma.value, 10);
    near(ewma.decay(6000), 10 * E_1);
  });

  test("a decay time below one millisecond counts as one", () => {
    near(new Ewma(0, 100, 0).decayed(1), 100 * E_1);
  });

  test("never leaves the range of what it has seen", () => {
    const samples = fc.array(fc.tuple(positive, fc.nat(10_000)), { minLength: 1 });
    fc.assert(
      fc.property(positive, samples, fc.boolean(), (initial, all, peak) => {
        const ewma = new Ewma(1000, initial, 0);
        let now = 0;
        let low = initial;
        let high = initial;
        for (const [sample, gap] of all) {
          now += gap;
          low = Math.min(low, sample);
          high = Math.max(high, sample);
          if (peak) ewma.addPeak(sample, now);
          else ewma.add(sample, now);
          assert.ok(ewma.value >= low * (1 - 1e-9) && ewma.value <= high * (1 + 1e-9));
          if (peak) assert.ok(ewma.value >= sample * (1 - 1e-9), "never below the latest sample");
        }
      }),
    );
  });

  test("decays monotonically, and a higher sample never gives a lower average", () => {
    fc.assert(
      fc.property(positive, positive, positive, fc.nat(10_000), fc.nat(10_000), (initial, a, b, t1, t2) => {
        const ewma = new Ewma(1000, initial, 0);
        assert.ok(ewma.decayed(t1 + t2) <= ewma.decayed(t1));
        const after = (sample: number): number => {
          const fresh = new Ewma(1000, initial, 0);
          fresh.add(sample, t1);
          return fresh.value;
        };
        assert.ok(after(Math.min(a, b)) <= after(Math.max(a, b)));
      }),
    );
  });
});

describe("PeakEwma", () => {
  test("costs its latency once for each request that waits, and once more", () => {
    const load = new PeakEwma(30, 10_000, 0);
    assert.equal(load.load(0), 30);
    load.begin();
    load.begin();
    assert.equal(load.load(0), 90);
    assert.equal(load.pending, 2);
    load.end(0, 0, undefined);
    assert.equal(load.load(0), 60);
  });

  test("follows the model's numbers", () => {
    const load = new PeakEwma(30, 10_000, 0);
    load.begin();
    load.end(0, 100, undefined);
    near(load.load(100), 100);
    load.begin();
    load.end(5000, 5100, undefined);
    // From 100 ms at t=100 to a sample of 100 ms: nothing changes but the time.
    near(load.load(5100), 100);
    load.begin();
    load.end(15_090, 15_100, undefined);
    near(load.load(15_100), 100 * E_1 + 10 * (1 - E_1));
  });

  test("an endpoint left alone becomes cheap again", () => {
    const load = new PeakEwma(30, 10_000, 0);
    near(load.load(10_000), 30 * E_1);
    near(load.load(100_000), 30 * Math.exp(-10));
  });

  test("asking for the load decays it, so that a sample above the decayed average is a peak", () => {
    const load = new PeakEwma(100, 1000, 0);
    load.load(1000);
    load.begin();
    load.end(950, 1000, undefined);
    assert.equal(load.load(1000), 50);
  });
});

describe("PenaltyPeakEwma", () => {
  const params = { defaultRttMs: 30, decayMs: 10_000, penaltyMs: 5000, maxRetryAfterMs: 300_000 };
  const afterHint = (kind: "internal" | "rate_limited" | "unavailable", retryAfterMs?: number): number => {
    const load = new PenaltyPeakEwma(params, 0);
    load.begin();
    load.end(0, 1, { kind, retryAfterMs });
    return load.load(1);
  };

  test("a failing response counts as a slow one", () => {
    assert.equal(afterHint("internal"), 5000);
    assert.equal(afterHint("unavailable"), 5000);
  });

  test("what the server asks us to wait counts, within bounds, and not for internal errors", () => {
    assert.equal(afterHint("unavailable", 60_000), 60_000);
    assert.equal(afterHint("rate_limited", 10), 5000);
    assert.equal(afterHint("rate_limited", 1e9), 300_000);
    assert.equal(afterHint("internal", 60_000), 5000);
  });

  test("a penalty never makes a slow endpoint look faster", () => {
    const load = new PenaltyPeakEwma({ ...params, defaultRttMs: 9000 }, 0);
    load.begin();
    load.end(0, 1, { kind: "internal", retryAfterMs: undefined });
    const decayed = 9000 * Math.exp(-1 / 10_000);
    assert.ok(load.load(1) >= decayed && load.load(1) <= 9000);
  });

  test("good responses are measured as usual, and asking changes nothing", () => {
    const load = new PenaltyPeakEwma(params, 0);
    assert.equal(load.load(10_000), load.load(10_000));
    near(load.load(10_000), 30 * E_1);
    load.begin();
    assert.equal(load.pending, 1);
    // 20 ms is above the decayed 11 ms, so it is a peak although it is below 30 ms.
    load.end(9980, 10_000, undefined);
    assert.equal(load.load(10_000), 20);
    load.begin();
    load.end(19_990, 20_000, undefined);
    assert.equal(load.load(20_000), 10);
    load.begin();
    load.end(24_999, 25_000, undefined);
    const weight = Math.exp(-0.5);
    near(load.load(25_000), 10 * weight + 1 * (1 - weight));
  });
});
