import assert from "node:assert/strict";
import { test } from "node:test";
import { IdleCache } from "../../src/stack/idle-cache.ts";
import { FakeClock } from "../support/fake-clock.ts";

interface Bench {
  readonly clock: FakeClock;
  readonly dropped: string[];
  readonly cache: IdleCache<string, string>;
}

function bench(maxIdle = 10): Bench {
  const clock = new FakeClock();
  const dropped: string[] = [];
  const cache = new IdleCache<string, string>({
    clock,
    idleTimeoutMs: 5000,
    maxIdle,
    dispose: (value, key) => dropped.push(`${key}=${value}`),
  });
  return { clock, dropped, cache };
}

const unwanted = (): string => assert.fail("the value is there");

test("a value is made once for all who hold it", () => {
  const { cache } = bench();
  const a = cache.acquire("k", () => "v");
  const b = cache.acquire("k", unwanted);
  assert.deepEqual([a.value, b.value, cache.peek("k"), cache.size], ["v", "v", "v", 1]);
});

test("a value stays while somebody holds it, and for the idle time afterwards", () => {
  const { cache, clock, dropped } = bench();
  const a = cache.acquire("k", () => "v");
  const b = cache.acquire("k", unwanted);
  a.release();
  a.release();
  clock.advance(100_000);
  assert.deepEqual(dropped, []);
  b.release();
  clock.advance(4999);
  assert.equal(cache.peek("k"), "v");
  clock.advance(1);
  assert.deepEqual(dropped, ["k=v"]);
  assert.equal(cache.size, 0);
});

test("whoever comes back in time stops the timer, and the idle time starts anew", () => {
  const { cache, clock, dropped } = bench();
  cache.acquire("k", () => "v").release();
  clock.advance(4000);
  const again = cache.acquire("k", unwanted);
  assert.equal(clock.timers, 0);
  clock.advance(4000);
  again.release();
  clock.advance(4000);
  assert.deepEqual(dropped, []);
  clock.advance(1000);
  assert.deepEqual(dropped, ["k=v"]);
});

test("after it was dropped a value is made anew", () => {
  const { cache, clock } = bench();
  cache.acquire("k", () => "old").release();
  clock.advance(5000);
  assert.equal(cache.acquire("k", () => "new").value, "new");
});

test("beyond the limit the longest idle goes, never one that is held", () => {
  const { cache, clock, dropped } = bench(2);
  const held = cache.acquire("held", () => "0");
  for (const key of ["a", "b", "c"]) {
    clock.advance(1);
    cache.acquire(key, () => "1").release();
  }
  assert.deepEqual(dropped, ["a=1"]);
  cache.acquire("b", unwanted).release();
  cache.acquire("d", () => "1").release();
  assert.deepEqual(dropped, ["a=1", "c=1"]);
  assert.equal(cache.peek("held"), "0");
  assert.equal(clock.timers, 2);
  held.release();
  assert.deepEqual(dropped, ["a=1", "c=1", "b=1"]);
});

test("a value that could not be made is not kept", () => {
  const { cache } = bench();
  assert.throws(
    () =>
      cache.acquire("k", () => {
        throw new Error("no");
      }),
    /no/,
  );
  assert.equal(cache.size, 0);
  assert.equal(cache.acquire("k", () => "v").value, "v");
});

test("clearing drops everything once, and old holders do not disturb new values", () => {
  const { cache, clock, dropped } = bench();
  const held = cache.acquire("held", () => "old");
  cache.acquire("idle", () => "v").release();
  cache.clear();
  assert.deepEqual(dropped.toSorted(), ["held=old", "idle=v"]);
  assert.equal(clock.timers, 0);
  const next = cache.acquire("held", () => "new");
  held.release();
  clock.advance(10_000);
  assert.equal(next.value, "new");
  assert.equal(cache.peek("held"), "new");
});
