import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { Distributor, type DistributionKind } from "../../src/balance/distribution.ts";
import { scripted, seeded } from "../support/chance.ts";

function distributor(kind: DistributionKind, ...weights: readonly number[]): Distributor<number> {
  return new Distributor(
    kind,
    weights.map((weight, item) => ({ item, weight })),
  );
}

const all = (): boolean => true;
const none = (): boolean => false;
const only =
  (...items: readonly number[]) =>
  (item: number): boolean =>
    items.includes(item);

describe("first available", () => {
  const first = distributor("first_available", 0, 5, 9);

  test("takes the first in the list that is available, whatever the weights", () => {
    assert.equal(first.pick(all, scripted()), 0);
    assert.equal(first.pick(only(2, 1), scripted()), 1);
    assert.equal(first.pick(none, scripted()), undefined);
  });

  test("of nothing gives nothing", () => {
    assert.equal(distributor("first_available").pick(all, scripted()), undefined);
    assert.equal(distributor("random_available").pick(all, scripted()), undefined);
  });
});

describe("random available", () => {
  test("gives each its share", () => {
    const random = seeded(5);
    const weights = [1, 2, 0, 7];
    const counts = [0, 0, 0, 0];
    const rounds = 50_000;
    const choice = distributor("random_available", ...weights);
    for (let i = 0; i < rounds; i++) {
      const item = choice.pick(all, random) ?? -1;
      counts[item] = (counts[item] ?? 0) + 1;
    }
    weights.forEach((weight, i) => {
      const share = (counts[i] ?? 0) / rounds;
      assert.ok(Math.abs(share - weight / 10) < 0.01, `${i} got ${share}`);
    });
  });

  test("gives the share of one that is not available to the others, by their weights", () => {
    const random = seeded(6);
    const counts = [0, 0, 0];
    const rounds = 50_000;
    const choice = distributor("random_available", 1, 3, 6);
    for (let i = 0; i < rounds; i++) {
      const item = choice.pick(only(0, 1), random) ?? -1;
      counts[item] = (counts[item] ?? 0) + 1;
    }
    assert.ok(Math.abs((counts[0] ?? 0) / rounds - 0.25) < 0.01);
    assert.equal(counts[2], 0);
  });

  test("asks each at most once and finds whatever is available and has weight", () => {
    const weights = fc.array(fc.nat(4), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(
        weights,
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        fc.nat(),
        (w, available, seed) => {
          const asked: number[] = [];
          const item = distributor("random_available", ...w).pick((i) => {
            asked.push(i);
            return available[i] === true;
          }, seeded(seed));
          assert.equal(new Set(asked).size, asked.length);
          const possible = w.flatMap((weight, i) => (weight > 0 && available[i] === true ? [i] : []));
          if (possible.length === 0) assert.equal(item, undefined);
          else assert.ok(item !== undefined && possible.includes(item));
        },
      ),
    );
  });

  test("of one takes that one, even without weight", () => {
    assert.equal(distributor("random_available", 0).pick(all, scripted()), 0);
    assert.equal(distributor("random_available", 0, 0).pick(all, scripted()), undefined);
  });

  test("the largest weights of the wire and the largest chance stay in range", () => {
    const max = 2 ** 32 - 1;
    const choice = distributor("random_available", max, max, 0);
    assert.equal(choice.pick(all, scripted(1 - 2 ** -53)), 1);
    assert.equal(choice.pick(all, scripted(0)), 0);
    assert.equal(distributor("random_available", 0, 1).pick(all, scripted(0)), 1);
  });
});
