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

test("a concurrency limit refuses what is too much and has room again after a release", () => {
  const limit = new ConcurrencyLimit(2);
  assert.deepEqual([limit.tryAcquire(), limit.tryAcquire(), limit.tryAcquire()], [true, true, false]);
  assert.equal(limit.inFlight, 2);
  limit.release();
  assert.ok(limit.tryAcquire());
  limit.release();
  limit.release();
  assert.throws(() => limit.release(), /never acquired/);
});
