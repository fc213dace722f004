import assert from "node:assert/strict";
import { test } from "node:test";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import { compose, type Layer } from "../../src/stack/service.ts";

type Greet = (name: string) => string;
const wrap =
  (mark: string): Layer<Greet> =>
  (inner) =>
  (name) =>
    `${mark}(${inner(name)})`;

test("a request meets the layers in the order of the list", () => {
  const stack = compose<Greet>([wrap("outer"), undefined, wrap("inner")], (name) => name);
  assert.equal(stack("leaf"), "outer(inner(leaf))");
});

test("a stack without layers is its leaf", () => {
  const leaf: Greet = (name) => name;
  assert.equal(compose([], leaf), leaf);
  assert.equal(compose([undefined], leaf), leaf);
});

test("a concurrency limit refuses what is too much and has room again once a place is left", () => {
  const limit = new ConcurrencyLimit(2);
  const [first, second] = [limit.enter(), limit.enter()];
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(limit.enter(), undefined);
  assert.deepEqual([limit.inFlight, limit.hasRoom], [2, false]);
  first.leave();
  assert.ok(limit.enter() !== undefined);
});

test("a place within a limit is left once, however often its end is told", () => {
  const limit = new ConcurrencyLimit(2);
  const [first, second] = [limit.enter(), limit.enter()];
  first?.leave();
  first?.leave();
  assert.equal(limit.inFlight, 1);
  second?.leave();
  assert.equal(limit.inFlight, 0);
});
