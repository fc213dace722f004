import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Queue, type Place } from "../../src/stack/queue.ts";

test("behaves like a list with a limit, whatever leaves it where", () => {
  const step = fc.oneof(
    fc.constant({ kind: "push" } as const),
    fc.constant({ kind: "shift" } as const),
    fc.record({ kind: fc.constant("cancel" as const), at: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new Queue<number>(5);
      let model: number[] = [];
      const places: (Place | undefined)[] = [];
      for (const s of steps) {
        if (s.kind === "push") {
          const item = places.length;
          assert.equal(queue.hasRoom, model.length < 5);
          const place = queue.push(item);
          assert.equal(place === undefined, model.length === 5);
          if (place !== undefined) model.push(item);
          places.push(place);
        } else if (s.kind === "shift") {
          assert.equal(queue.shift(), model.shift());
        } else {
          places[s.at]?.cancel();
          model = model.filter((item) => item !== s.at);
        }
        assert.equal(queue.length, model.length);
      }
      const rest: number[] = [];
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) rest.push(item);
      assert.deepEqual(rest, model);
    }),
  );
});

test("a queue of no capacity takes nothing", () => {
  assert.equal(new Queue<number>(0).push(1), undefined);
});
