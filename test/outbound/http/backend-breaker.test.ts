import assert from "node:assert/strict";
import { test } from "node:test";
import { BackendCache } from "../../../src/outbound/backend-cache.ts";
import { breakerPolicy, type BreakerPolicy } from "../../../src/outbound/http/breaker.ts";
import type { Backend, FailureAccrual } from "../../../src/policy/client-policy.ts";
import { metaDefault } from "../../../src/policy/meta.ts";
import { DEFAULT_LOAD } from "../../../src/policy/synthesize.ts";
import { name } from "../scripted.ts";
import { endpointAt } from "./memory-balancer.ts";

const BALANCE: Backend = {
  meta: metaDefault("web"),
  dispatcher: { kind: "balance", path: name("web.shop.svc.cluster.local:80"), load: DEFAULT_LOAD },
};
const FORWARD: Backend = {
  meta: metaDefault("web"),
  dispatcher: { kind: "forward", endpoint: endpointAt("192.0.2.1:80") },
};

/** As a policy update makes it: a new value each time. */
function sevenInARow(): FailureAccrual {
  return { kind: "consecutive", maxFailures: 7, backoff: { minMs: 1_000, maxMs: 60_000, jitter: 0.5 } };
}

function caching() {
  const made: (BreakerPolicy | undefined)[] = [];
  let closed = 0;
  const cache = new BackendCache((_, breaker) => {
    made.push(breaker);
    return { close: () => void closed++ };
  });
  return { cache, made, closed: () => closed };
}

test("outbound 7.1: a balancer outlives policies that want the same breakers, and no others", () => {
  const { cache, made, closed } = caching();
  const want = (accrual: FailureAccrual | undefined, isGrpc = false) => {
    const breaker = breakerPolicy({ failureAccrual: accrual, isGrpc });
    cache.retain([BALANCE], breaker);
    return cache.get(BALANCE, breaker);
  };
  const first = want(sevenInARow());
  assert.equal(want(sevenInARow()), first);
  assert.deepEqual([made.length, closed()], [1, 0]);
  const other = want({
    ...sevenInARow(),
    kind: "consecutive",
    maxFailures: 5,
    backoff: sevenInARow().backoff,
  });
  assert.notEqual(other, first);
  want(sevenInARow(), true);
  want(undefined);
  assert.deepEqual([made.length, closed()], [4, 3]);
  assert.equal(made.at(-1), undefined);
});

test("outbound 7.1: a single endpoint has no breaker, so that it does not matter to it what policies want", () => {
  const { cache, closed } = caching();
  const breaker = breakerPolicy({ failureAccrual: sevenInARow(), isGrpc: false });
  const first = cache.get(FORWARD, breaker);
  cache.retain([FORWARD]);
  assert.equal(cache.get(FORWARD), first);
  assert.equal(closed(), 0);
});
