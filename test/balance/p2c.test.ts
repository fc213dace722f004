import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { Loaded } from "../../src/balance/load.ts";
import { pickP2c } from "../../src/balance/p2c.ts";
import { ReadySet } from "../../src/balance/ready-set.ts";
import { scripted, seeded } from "../support/chance.ts";

class Fixed implements Loaded {
  readonly cost: number;
  asked = 0;
  constructor(cost: number) {
    this.cost = cost;
  }
  load(): number {
    this.asked++;
    return this.cost;
  }
}

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("pickP2c", () => {
  test("has no choice among none or one, and asks nobody", () => {
    assert.equal(pickP2c([], 0, scripted()), -1);
    const only = new Fixed(1);
    assert.equal(pickP2c([only], 0, scripted()), 0);
    assert.equal(only.asked, 0);
  });

  test("draws two different ones, asks only these and never takes the costlier", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 2, maxLength: 20 }), unit, unit, (costs, x, y) => {
        const members = costs.map((cost) => new Fixed(cost));
        const picked = pickP2c(members, 0, scripted(x, y));
        const drawn = members.filter((m) => m.asked > 0);
        assert.equal(drawn.length, 2);
        assert.ok(drawn.every((m) => m.asked === 1));
        assert.equal(members[picked]?.cost, Math.min(...drawn.map((m) => m.cost)));
      }),
    );
  });

  test("takes the first drawn of two that cost the same", () => {
    const members = [new Fixed(1), new Fixed(1), new Fixed(1)];
    assert.equal(pickP2c(members, 0, scripted(0.99, 0)), 2);
    assert.equal(pickP2c(members, 0, scripted(0, 0.99)), 0);
  });

  test("draws every pair equally often", () => {
    const random = seeded(1);
    const counts = new Map<string, number>();
    const rounds = 60_000;
    for (let i = 0; i < rounds; i++) {
      const members = [new Fixed(1), new Fixed(1), new Fixed(1)];
      const first = pickP2c(members, 0, random);
      const second = members.findIndex((m, j) => m.asked > 0 && j !== first);
      const pair = `${first},${second}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    assert.equal(counts.size, 6);
    for (const count of counts.values()) assert.ok(Math.abs(count - rounds / 6) < rounds / 60, String(count));
  });

  test("never takes the costliest of all", () => {
    const random = seeded(2);
    const members = [new Fixed(1), new Fixed(9), new Fixed(2)];
    for (let i = 0; i < 1000; i++) assert.notEqual(pickP2c(members, 0, random), 1);
  });
});

describe("ReadySet", () => {
  test("behaves like a set, and picks only members", () => {
    const members = Array.from({ length: 6 }, (_, i) => new Fixed(i));
    const step = fc.tuple(fc.boolean(), fc.constantFrom(...members));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const ready = new ReadySet<Fixed>();
        const model = new Set<Fixed>();
        const random = seeded(3);
        for (const [isAdd, member] of steps) {
          if (isAdd) {
            ready.add(member);
            model.add(member);
          } else {
            assert.equal(ready.delete(member), model.delete(member));
          }
          assert.equal(ready.size, model.size);
          assert.deepEqual(
            members.map((m) => ready.has(m)),
            members.map((m) => model.has(m)),
          );
          const picked = ready.pick(0, random);
          if (model.size === 0) assert.equal(picked, undefined);
          else assert.ok(picked !== undefined && model.has(picked));
        }
      }),
    );
  });

  test("every member can be picked", () => {
    const ready = new ReadySet<Fixed>();
    const members = Array.from({ length: 5 }, () => new Fixed(1));
    for (const member of members) ready.add(member);
    const random = seeded(4);
    const picked = new Set(Array.from({ length: 500 }, () => ready.pick(0, random)));
    assert.equal(picked.size, 5);
  });
});
