import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { admit, rateOf } from "../../src/policy/gcra.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { RATE_LIMIT_IDENTITIES_MAX, RateLimiter } from "../../src/policy/rate-limit.ts";
import type { LocalRateLimit } from "../../src/policy/server-policy.ts";

function limit(params: Partial<LocalRateLimit>): LocalRateLimit {
  return {
    meta: metaDefault("limit"),
    totalRps: undefined,
    identityRps: undefined,
    overrides: [],
    ...params,
  };
}

/** How many of `count` requests at one time may pass. */
function pass(limiter: RateLimiter, count: number, nowMs: number, identity?: string): number {
  let passed = 0;
  for (let i = 0; i < count; i++) if (limiter.check(identity, nowMs) === undefined) passed++;
  return passed;
}

const START = 123_456.789;

test("ten a second: ten pass at once, the eleventh is refused, one passes after 100 ms", () => {
  const limiter = new RateLimiter(limit({ totalRps: 10 }));
  assert.equal(pass(limiter, 11, START), 10);
  assert.equal(pass(limiter, 1, START + 99.999), 0);
  assert.equal(pass(limiter, 2, START + 100), 1);
  assert.equal(pass(limiter, 20, START + 100_000), 10);
});

test("in any window of time no more pass than a burst and the rate allow", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 400_000_000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), gaps, (rps, all) => {
      const rate = rateOf(rps);
      let now = 1e12;
      let state: number | undefined;
      const passed: number[] = [];
      for (const gap of all) {
        now += gap;
        const next = admit(rate, state, now);
        if (next === undefined) continue;
        state = next;
        passed.push(now);
      }
      passed.forEach((from, i) => {
        passed.slice(i).forEach((to, more) => {
          assert.ok(more + 1 <= rps + Math.floor((to - from) / rate.intervalNs));
        });
      });
    }),
  );
});

test("whoever keeps to the rate is never refused", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(fc.nat(1000)), (rps, late) => {
      const rate = rateOf(rps);
      let state: number | undefined;
      let now = 0;
      for (const extra of late) {
        now += rate.intervalNs + extra;
        state = admit(rate, state, now);
        assert.notEqual(state, undefined);
      }
    }),
  );
});

describe("identities", () => {
  test("have a state each, those without one share a state", () => {
    const limiter = new RateLimiter(limit({ identityRps: 2 }));
    assert.equal(pass(limiter, 3, START, "a"), 2);
    assert.equal(pass(limiter, 3, START, "b"), 2);
    assert.equal(pass(limiter, 3, START), 2);
    assert.equal(pass(limiter, 3, START), 0);
  });

  test("named together in an override share its limit and escape the general one", () => {
    const limiter = new RateLimiter(
      limit({ identityRps: 1, overrides: [{ rps: 3, identities: new Set(["a", "b"]) }] }),
    );
    assert.equal(pass(limiter, 2, START, "a"), 2);
    assert.equal(pass(limiter, 2, START, "b"), 1);
    assert.equal(pass(limiter, 2, START, "c"), 1);
  });

  test("refused have used up a cell of the total all the same", () => {
    const limiter = new RateLimiter(limit({ totalRps: 5, identityRps: 1 }));
    assert.equal(pass(limiter, 5, START, "a"), 1);
    assert.equal(limiter.check("b", START)?.scope, "total");
  });

  test("are remembered up to a bound, the least recently seen being forgotten", () => {
    const limiter = new RateLimiter(limit({ identityRps: 2 }));
    limiter.check("oldest", START);
    limiter.check("used again", START);
    for (let i = 0; i < RATE_LIMIT_IDENTITIES_MAX - 2; i++) limiter.check(`id${i}`, START);
    limiter.check("used again", START);
    limiter.check("one more", START);
    assert.equal(pass(limiter, 1, START, "used again"), 0);
    assert.equal(pass(limiter, 3, START, "oldest"), 2, "forgotten, so it starts anew");
  });
});

test("says which limit refused", () => {
  const limiter = new RateLimiter(
    limit({ totalRps: 3, identityRps: 1, overrides: [{ rps: 1, identities: new Set(["vip"]) }] }),
  );
  limiter.check("vip", START);
  assert.deepEqual(limiter.check("vip", START), {
    scope: "identity",
    message: "override rate limit exceeded: 1rps",
  });
  limiter.check("a", START);
  assert.deepEqual(limiter.check("a", START), { scope: "total", message: "total rate limit exceeded: 3rps" });
  assert.deepEqual(pass(limiter, 1, START + 1000, "b"), 1);
  assert.deepEqual(limiter.check("b", START + 1000), {
    scope: "identity",
    message: "per-identity rate limit exceeded: 1rps",
  });
});

test("zero and absent limits limit nothing", () => {
  for (const params of [
    {},
    { totalRps: 0, identityRps: 0, overrides: [{ rps: 0, identities: new Set(["a"]) }] },
  ]) {
    assert.equal(pass(new RateLimiter(limit(params)), 1000, START, "a"), 1000);
  }
});

describe("a new policy", () => {
  const overrides = [{ rps: 2, identities: new Set(["vip", "other"]) }];
  const params = limit({ totalRps: 100, identityRps: 2, overrides });

  test("with the same limits keeps their state", () => {
    const before = new RateLimiter(params);
    pass(before, 2, START, "a");
    pass(before, 1, START, "vip");
    const copy = { ...params, overrides: [{ rps: 2, identities: new Set(["other", "vip"]) }] };
    const after = new RateLimiter(copy, before);
    assert.equal(pass(after, 2, START, "a"), 0);
    assert.equal(pass(after, 2, START, "vip"), 1);
  });

  test("with another limit starts that one anew, and only that one", () => {
    const before = new RateLimiter(params);
    pass(before, 2, START, "a");
    pass(before, 2, START, "vip");
    const changed = { ...params, identityRps: 3 };
    const after = new RateLimiter(changed, before);
    assert.equal(pass(after, 4, START, "a"), 3);
    assert.equal(pass(after, 1, START, "vip"), 0);
    const others = { ...params, overrides: [{ rps: 2, identities: new Set(["vip"]) }] };
    assert.equal(pass(new RateLimiter(others, before), 1, START, "vip"), 1);
  });
});
