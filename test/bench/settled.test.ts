import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DIRECT, type FigureName, OURS, type Round } from "../../bench/figures.ts";
import { medianInterval, quietest } from "../../bench/harness/median.ts";
import { ratiosOf } from "../../bench/ratios.ts";
import { exactly, isEnough, SETTLED_WITHIN, UNTIL_SETTLED } from "../../bench/settled.ts";
import { summarise } from "../../bench/summary.ts";
import { SCENARIOS } from "../../bench/suite.ts";
import { seeded } from "../support/chance.ts";

function rounds(figure: FigureName, values: readonly number[]): readonly Round[] {
  return values.map((value) => ({ figures: { [figure]: value }, curve: [], memory: [] }));
}

/** Ours takes 1 in each round, so that the ratios are those that are asked for. */
function measuredWith(ratios: readonly number[], figure: FigureName = "cpuMicros") {
  return new Map([
    [DIRECT, rounds(figure, [1])],
    [OURS, rounds(figure, ratios)],
    [
      "haproxy",
      rounds(
        figure,
        ratios.map(() => 1),
      ),
    ],
  ]);
}

describe("the interval of a median", () => {
  it("is told of six values and more", () => {
    assert.equal(medianInterval([1, 2, 3, 4, 5]), undefined);
    assert.deepEqual(medianInterval([6, 5, 4, 3, 2, 1]), [1, 6]);
    assert.deepEqual(medianInterval([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), [2, 9]);
  });

  for (const count of [6, 10, 20, 80]) {
    it(`holds the median of the distribution in about 95 of 100 cases, of ${count} values`, () => {
      const random = seeded(count);
      const cases = 4_000;
      let held = 0;
      for (let i = 0; i < cases; i++) {
        // Skewed, as noise is: the median of it is log(2).
        const values = Array.from({ length: count }, () => -Math.log(1 - random()));
        const [low, high] = medianInterval(values) ?? assert.fail();
        if (low <= Math.LN2 && Math.LN2 <= high) held++;
      }
      assert.ok(held / cases > 0.93 && held / cases < 0.985, `${held / cases}`);
    });
  }
});

describe("the quietest", () => {
  it("is the mean of the lowest quarter, of one value at least", () => {
    assert.equal(quietest([3, 1, 2]), 1);
    assert.equal(quietest([9, 4, 7, 2, 8, 6, 9, 9]), 3);
    assert.ok(Number.isNaN(quietest([])));
  });
});

describe("ratios", () => {
  it("are ours to theirs, round by round, whoever else was measured in fewer rounds", () => {
    const ours = rounds("cpuMicros", [2, 3, 4]);
    assert.deepEqual(ratiosOf("haproxy", "cpuMicros", ours, rounds("cpuMicros", [1, 2, 2])), [2, 1.5, 2]);
    assert.deepEqual(ratiosOf("haproxy", "cpuMicros", ours, rounds("cpuMicros", [1])), [2]);
  });

  it("are not made with the direct way, with ourselves, or of errors", () => {
    const ours = rounds("cpuMicros", [1]);
    assert.deepEqual(ratiosOf(DIRECT, "cpuMicros", ours, ours), []);
    assert.deepEqual(ratiosOf(OURS, "cpuMicros", ours, ours), []);
    assert.deepEqual(ratiosOf("haproxy", "errors", rounds("errors", [1]), rounds("errors", [1])), []);
  });

  it("come with their interval", () => {
    const [scenario] = SCENARIOS;
    assert.ok(scenario !== undefined);
    const { ways } = summarise(scenario, measuredWith([1.1, 0.9, 1, 1.02, 0.98, 1.05]));
    assert.deepEqual(ways.find(({ name }) => name === "haproxy")?.ratios.cpuMicros, {
      ...{ median: 1.01, min: 0.9, max: 1.1, interval: [0.9, 1.1] },
    });
  });
});

describe("rounds are enough", () => {
  const quiet = [1, 1.02, 0.98, 1.01, 0.99, 1.03];
  const noisy = [1, 1.3, 0.7, 1.2, 0.8, 1.1];

  it("when as many as were asked for are done, whatever they say", () => {
    assert.equal(isEnough(exactly(7), "cpuMicros", measuredWith(quiet)), false);
    assert.equal(isEnough(exactly(6), "cpuMicros", measuredWith(noisy)), true);
  });

  it("when the ratios stand, but not before there are enough to tell", () => {
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measuredWith(quiet.slice(0, 5))), false);
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measuredWith(quiet)), true);
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measuredWith(noisy)), false);
  });

  it("when there are as many as there may be", () => {
    const most = Array.from({ length: UNTIL_SETTLED.atMost }, (_, i) => (i % 2 === 0 ? 0.5 : 1.5));
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measuredWith(most.slice(1))), false);
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measuredWith(most)), true);
  });

  it("only when each peer's ratio stands", () => {
    const measured = new Map([...measuredWith(quiet), ["nginx", rounds("cpuMicros", noisy)] as const]);
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measured), false);
  });

  it("at once when there is nobody to compare with", () => {
    const measured = new Map([[OURS, rounds("cpuMicros", noisy)]]);
    assert.equal(isEnough(UNTIL_SETTLED, "cpuMicros", measured), true);
  });

  it("so that three runs agree within a tenth, where rounds are off by 6 %", () => {
    const random = seeded(1);
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const run = (): number => {
      const ratios: number[] = [];
      while (!isEnough(UNTIL_SETTLED, "cpuMicros", measuredWith(ratios))) ratios.push(1 + 0.06 * normal());
      return (
        summarise(SCENARIOS[0] ?? assert.fail(), measuredWith(ratios)).ways.find(
          ({ name }) => name === "haproxy",
        )?.ratios.cpuMicros?.median ?? NaN
      );
    };
    const times = 300;
    let agreed = 0;
    for (let i = 0; i < times; i++) {
      const three = [run(), run(), run()];
      if (Math.max(...three) / Math.min(...three) <= 1 + 2 * SETTLED_WITHIN) agreed++;
    }
    assert.ok(agreed / times > 0.97, `${agreed} of ${times}`);
  });
});
