import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { SendQueue } from "../../src/http/h2-send-queue.ts";
import { poisonFreedBuffers } from "../../src/transport/poison.ts";
import { bodyOf } from "../support/h2-exchange.ts";

// A block that is freed too early would give back poison.
before(() => poisonFreedBuffers(true));
after(() => poisonFreedBuffers(false));

test("gives back what was put in, never more than asked for, whatever the pieces", () => {
  const piece = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 40_000 }));
  const step = fc.record({ push: fc.boolean(), size: piece });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const queue = new SendQueue();
      const source = bodyOf(steps.reduce((sum, { push, size }) => sum + (push ? size : 0), 0));
      let pushed = 0;
      let taken = 0;
      for (const { push, size } of steps) {
        if (push) {
          const range = Buffer.concat([Buffer.alloc(2), source.subarray(pushed, pushed + size)]);
          queue.push(range, 2, 2 + size);
          range.fill(0xdb);
          pushed += size;
        } else {
          const target = Buffer.alloc(3 + size + 1, 0x7e);
          const got = queue.take(target, 3, size);
          assert.equal(got, Math.min(size, pushed - taken));
          assert.deepEqual(target.subarray(3, 3 + got), source.subarray(taken, taken + got));
          assert.equal(target[3 + got], 0x7e);
          taken += got;
        }
        assert.equal(queue.length, pushed - taken);
      }
    }),
    { numRuns: 200 },
  );
});

test("shares blocks with other queues only after they were taken", () => {
  const [first, second] = [new SendQueue(), new SendQueue()];
  const source = bodyOf(64 * 1024);
  const target = Buffer.alloc(source.length);
  first.push(source, 0, source.length);
  assert.equal(first.take(target, 0, 20_000), 20_000);
  // Uses the block that the first queue has done with.
  const other = Buffer.alloc(source.length, 0xdb);
  second.push(other, 0, other.length);
  assert.equal(first.take(target, 20_000, source.length), source.length - 20_000);
  assert.deepEqual(target, source);
  assert.equal(second.take(target, 0, source.length), source.length);
  assert.deepEqual(target, other);
});
