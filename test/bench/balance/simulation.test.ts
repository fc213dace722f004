import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plot } from "../../../bench/balance/plot.ts";
import { DEFAULTS, simulate, STRATEGIES } from "../../../bench/balance/simulation.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

describe("outbound 16.10: power of two choices over peak EWMA, when one of ten endpoints goes from 5 ms to 1 s", () => {
  for (const seed of SEEDS) {
    const params = { ...DEFAULTS, seed };

    test(`sends it less than 2 % within 2 s at 200 requests/s (seed ${seed})`, () => {
      const { slices } = simulate("p2c", params);
      const late = slices.filter(({ atMs }) => atMs >= params.slowAtMs + 2_000);
      assert.ok(late.length > 10);
      for (const { atMs, slowShare } of late) assert.ok(slowShare < 0.02, `${slowShare} at ${atMs} ms`);
    });

    test(`has a shorter p99 than round robin and random choice (seed ${seed})`, () => {
      const ours = simulate("p2c", params);
      for (const strategy of ["round-robin", "random"] as const) {
        const other = simulate(strategy, params);
        assert.ok(ours.p99Ms < other.p99Ms / 10, `${ours.p99Ms} ms, ${strategy} ${other.p99Ms} ms`);
        assert.ok(other.slowShare > 0.05, `${strategy} sends it ${other.slowShare}`);
      }
    });
  }

  test("gives every endpoint its share while all are alike", () => {
    const { slices } = simulate("p2c", { ...DEFAULTS, slowAtMs: 60_000, endMs: 60_001, sliceMs: 60_000 });
    const [all] = slices;
    assert.ok(all !== undefined && all.slowShare > 0.07 && all.slowShare < 0.13, String(all?.slowShare));
  });

  test("also sheds an endpoint that is merely slower: 200 ms", () => {
    const ours = simulate("p2c", { ...DEFAULTS, slowMs: 200 });
    assert.ok(ours.slowShare < 0.02, String(ours.slowShare));
  });
});

test("the same seed gives the same run", () => {
  assert.deepEqual(simulate("p2c"), simulate("p2c"));
});

test("the plot is complete in itself and has a line for each strategy", () => {
  const svg = plot(
    STRATEGIES.map((strategy) => simulate(strategy)),
    DEFAULTS,
  );
  assert.match(svg, /^<svg xmlns=/);
  assert.equal(svg.match(/<polyline /g)?.length, STRATEGIES.length);
  assert.doesNotMatch(svg, /NaN|undefined|href|<script/);
});
