import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { metaDefault } from "../../../src/policy/meta.ts";
import { RateLimiter } from "../../../src/policy/rate-limit.ts";
import type { LocalRateLimit } from "../../../src/policy/server-policy.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import {
  anybody,
  FRIEND,
  http1,
  identified,
  PolicyLab,
  server,
  STRANGER,
  type ServerInit,
} from "./policy-lab.ts";

const FOREVER_RPS = 1;

type Limit = {
  readonly total?: number;
  readonly identity?: number;
  readonly overrides?: readonly [number, string[]][];
};

function limited(name: string, limit: Limit, kind: "detect" | "http1" | "http2" = "detect"): ServerInit {
  const rps = (requestsPerSecond: number) => ({ requestsPerSecond });
  const rateLimit = {
    metadata: {
      kind: {
        case: "resource" as const,
        value: { group: "policy.linkerd.io", kind: "HTTPLocalRateLimitPolicy", name: "web-limit" },
      },
    },
    ...(limit.total === undefined ? {} : { total: rps(limit.total) }),
    ...(limit.identity === undefined ? {} : { identity: rps(limit.identity) }),
    overrides: (limit.overrides ?? []).map(([n, ids]) => ({
      limit: rps(n),
      clients: { identities: ids.map((id) => ({ name: id })) },
    })),
  };
  const value =
    kind === "detect"
      ? { timeout: { seconds: 10n }, httpLocalRateLimit: rateLimit }
      : { localRateLimit: rateLimit };
  const protocol = { kind: { case: kind, value } } as NonNullable<ServerInit["protocol"]>;
  return server(name, [anybody("a")], { protocol });
}

describe("local rate limits, by the clock", () => {
  const limit = (params: Partial<LocalRateLimit>): RateLimiter =>
    new RateLimiter({
      meta: metaDefault("l"),
      totalRps: undefined,
      identityRps: undefined,
      overrides: [],
      ...params,
    });
  const clock = new FakeClock();
  const pass = (limiter: RateLimiter, count: number, id?: string): number =>
    Array.from({ length: count }, () => limiter.check(id, clock.nowMs())).filter((r) => r === undefined)
      .length;

  it("invariant 23, ranked 13: ten a second are ten at once, then one each 100 ms, and no more after a longer rest", () => {
    const limiter = limit({ totalRps: 10 });
    assert.equal(pass(limiter, 11), 10);
    clock.advance(99);
    assert.equal(pass(limiter, 1), 0);
    clock.advance(1);
    assert.equal(pass(limiter, 2), 1);
    for (let i = 0; i < 20; i++) {
      clock.advance(100);
      assert.equal(pass(limiter, 5), 1);
    }
    clock.advance(3_600_000);
    assert.equal(pass(limiter, 100), 10);
  });

  it("invariant 23: a refused request moves nothing: whoever goes on asking is not kept out for longer", () => {
    const limiter = limit({ identityRps: 2 });
    assert.equal(pass(limiter, 1_000, FRIEND), 2);
    clock.advance(500);
    assert.equal(pass(limiter, 1_000, FRIEND), 1);
  });

  it("invariant 23, ranked 13: each identity has a limit of its own, all without identity share one, overrides share theirs", () => {
    const limiter = limit({
      identityRps: 3,
      overrides: [{ rps: 5, identities: new Set(["vip-1", "vip-2"]) }],
    });
    assert.deepEqual([pass(limiter, 9, FRIEND), pass(limiter, 9, STRANGER), pass(limiter, 9)], [3, 3, 3]);
    assert.equal(pass(limiter, 9), 0);
    assert.equal(pass(limiter, 4, "vip-1") + pass(limiter, 4, "vip-2"), 5);
    // The last override that names an identity is the one that counts.
    const twice = limit({
      overrides: [
        { rps: 1, identities: new Set(["vip-1"]) },
        { rps: 4, identities: new Set(["vip-1"]) },
      ],
    });
    assert.equal(pass(twice, 9, "vip-1"), 4);
  });

  it("invariant 23: the total counts first, also for requests that their own limit then refuses", () => {
    const limiter = limit({ totalRps: 5, identityRps: 1 });
    assert.equal(pass(limiter, 4, FRIEND), 1);
    assert.equal(limiter.check(FRIEND, clock.nowMs())?.scope, "identity");
    assert.equal(limiter.check(STRANGER, clock.nowMs())?.scope, "total");
  });

  it("inbound 6.7: states that are full again are dropped, so that a crowd that came once is not kept", () => {
    const limiter = limit({ identityRps: 10 });
    for (let i = 0; i < 1_000; i++) limiter.check(`once-${i}`, clock.nowMs());
    assert.equal(limiter.identities, 1_000);
    for (let i = 0; i < 2_000; i++) {
      clock.advance(101);
      limiter.check(`later-${i % 3}`, clock.nowMs());
      limiter.check(`new-${i}`, clock.nowMs());
    }
    assert.ok(limiter.identities < 10, `${limiter.identities} identities are remembered`);
  });
});

describe("local rate limits, over real connections", { timeout: 30_000 }, () => {
  let lab: PolicyLab;
  before(async () => {
    lab = await PolicyLab.start();
  });
  after(() => lab.close());

  it("ranked 13: a refusal is a 429 or gRPC 8, without retry-after, on a connection that stays", async () => {
    await lab.publish(limited("slow", { identity: FOREVER_RPS }));
    const kept = await lab.connect(FRIEND);
    assert.equal((await http1(kept)).status, 200);
    const refused = await http1(kept);
    assert.equal(refused.status, 429);
    assert.deepEqual([...refused.headers.keys()].toSorted(), ["content-length", "date", "l5d-proxy-error"]);
    assert.match(refused.headers.get("l5d-proxy-error") ?? "", /: per-identity rate limit exceeded: 1rps$/);
    assert.equal((await http1(kept)).status, 429);
    kept.destroy();
    // A new connection is no new bucket.
    const grpc = await lab.get2(FRIEND, {
      ":method": "POST",
      ":path": "/shop.Stock/Get",
      "content-type": "application/grpc",
    });
    assert.deepEqual([grpc.status, grpc.headers.get("grpc-status")], [200, "8"]);
    assert.match(grpc.headers.get("grpc-message") ?? "", /per-identity rate limit exceeded: 1rps$/);
    assert.equal(grpc.headers.has("retry-after"), false);
    // Somebody without an identity is told nothing.
    assert.equal((await lab.get(undefined)).status, 200);
    const anonymous = await lab.get(undefined, {}, "127.0.0.10");
    assert.equal(anonymous.status, 429);
    assert.deepEqual([...anonymous.headers.keys()].toSorted(), ["content-length", "date"]);
    const labels = {
      srv_name: "slow",
      ratelimit_group: "policy.linkerd.io",
      ratelimit_kind: "HTTPLocalRateLimitPolicy",
      ratelimit_name: "web-limit",
      ratelimit_scope: "identity",
    };
    assert.equal(await lab.count("inbound_http_local_ratelimit_total", { ...labels, client_id: FRIEND }), 3);
    assert.equal(await lab.count("inbound_http_local_ratelimit_total", { ...labels, tls: "no_identity" }), 1);
    // Each was authorized before it was counted against the limit.
    assert.equal(await lab.count("inbound_http_authz_allow_total", { srv_name: "slow" }), 6);
  });

  it("inbound 6.7: a policy that changes in other ways keeps the limit's state, one with another limit starts anew", async () => {
    await lab.publish(limited("one", { identity: 2 }));
    for (const status of [200, 200, 429]) assert.equal((await lab.get(FRIEND)).status, status);
    await lab.publish(limited("renamed", { identity: 2 }, "http1"));
    assert.equal((await lab.get(FRIEND)).status, 429);
    await lab.publish(limited("wider", { identity: 3 }, "http1"));
    for (const status of [200, 200, 200, 429]) assert.equal((await lab.get(FRIEND)).status, status);
  });

  it("inbound 6.5: whoever is refused by a policy costs nobody a request of the limit", async () => {
    const friends = { ...limited("guarded", { total: 1 }), authorizations: [identified("a", [FRIEND])] };
    await lab.publish(friends);
    for (let i = 0; i < 5; i++) assert.equal((await lab.get(STRANGER)).status, 403);
    assert.equal((await lab.get(FRIEND)).status, 200);
    assert.equal((await lab.get(FRIEND)).status, 429);
  });
});
