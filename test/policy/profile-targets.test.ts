import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NameAddr } from "../../src/addr/name-addr.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import type { Distribution, Profile, ProfileRoute } from "../../src/policy/client-policy.ts";
import { formatMeta } from "../../src/policy/meta.ts";
import {
  httpProfileName,
  opaqueProfileName,
  opaqueProfilePolicy,
  profileDistribution,
  serviceMeta,
} from "../../src/policy/profile-targets.ts";

function name(text: string, port = 80): NameAddr {
  const parsed = parseDnsName(text);
  assert.ok(parsed.ok);
  return { name: parsed.value, port };
}

const LOGICAL = name("web.shop.svc.cluster.local");
const ROUTE: ProfileRoute = {
  condition: { kind: "all", of: [] },
  labels: [],
  responseClasses: [],
  isRetryable: false,
  timeoutMs: undefined,
};
const TARGET = { addr: name("canary.shop.svc.cluster.local"), weight: 1 };

function profile(more: Partial<Profile>): Profile {
  const nothing = { opaqueProtocol: false, endpoint: undefined, retryBudget: undefined };
  return { logical: LOGICAL, routes: [], targets: [], ...nothing, ...more };
}

/** `name=weight` of each backend. */
function shares(distribution: Distribution<never>): string[] {
  if (distribution.kind !== "random_available") return [distribution.kind];
  return distribution.backends.map(({ backend, weight }) => `${formatMeta(backend.meta)}=${weight}`);
}

describe("outbound 5.1: a profile is in force", () => {
  const cases: readonly (readonly [
    what: string,
    profile: Profile | undefined,
    http: boolean,
    opaque: boolean,
  ])[] = [
    ["never where there is none", undefined, false, false],
    ["never where it says nothing", profile({}), false, false],
    ["for HTTP where it has routes", profile({ routes: [ROUTE] }), true, false],
    ["for both where it has targets", profile({ targets: [TARGET] }), true, true],
    ["for both where it has routes and targets", profile({ routes: [ROUTE], targets: [TARGET] }), true, true],
    [
      "never without a name",
      profile({ routes: [ROUTE], targets: [TARGET], logical: undefined }),
      false,
      false,
    ],
    [
      "never for its budget and opaqueness alone",
      profile({
        opaqueProtocol: true,
        retryBudget: { retryRatio: 1, minRetriesPerSecond: 1, ttlMs: 10_000 },
      }),
      false,
      false,
    ],
  ];
  for (const [what, given, http, opaque] of cases) {
    test(what, () => {
      assert.equal(httpProfileName(given), http ? LOGICAL : undefined);
      assert.equal(opaqueProfileName(given), opaque ? LOGICAL : undefined);
    });
  }
});

describe("outbound 5.2: the targets of a profile", () => {
  test("are drawn by weight, balanced over their own endpoints", () => {
    const targets = [
      { addr: LOGICAL, weight: 90 },
      { addr: name("canary.shop.svc.cluster.local", 8080), weight: 10 },
    ];
    const distribution = profileDistribution(LOGICAL, profile({ targets }));
    assert.deepEqual(shares(distribution), ["Service.shop.web:80=90", "Service.shop.canary:8080=10"]);
    assert.ok(distribution.kind === "random_available");
    assert.deepEqual(distribution.backends[1]?.backend.dispatcher, {
      kind: "balance",
      path: name("canary.shop.svc.cluster.local", 8080),
      load: { kind: "peak_ewma", defaultRttMs: 30, decayMs: 10_000 },
    });
  });

  test("are the profile's own name where there are none", () => {
    const distribution = profileDistribution(LOGICAL, profile({ routes: [ROUTE] }));
    assert.ok(distribution.kind === "first_available");
    assert.deepEqual(
      distribution.backends.map(({ backend }) => formatMeta(backend.meta)),
      ["Service.shop.web:80"],
    );
  });

  test("split opaque connections in the same way", () => {
    const { parent, protocol } = opaqueProfilePolicy(
      LOGICAL,
      profile({ targets: [TARGET, { ...TARGET, weight: 3 }] }),
    );
    assert.equal(formatMeta(parent), "Service.shop.web:80");
    assert.ok(protocol.kind === "opaque" && protocol.opaque?.distribution.kind === "random_available");
    assert.deepEqual(
      protocol.opaque.distribution.backends.map((b) => b.weight),
      [1, 3],
    );
    assert.equal(formatMeta(protocol.opaque.meta), "default.serviceprofile");
  });
});

test("a name is that of a Service only in a Service's form", () => {
  assert.equal(formatMeta(serviceMeta(name("web.shop.SVC.cluster.local."))), "Service.shop.web:80");
  for (const other of ["web.shop", "web.example.com", "web"]) {
    assert.equal(formatMeta(serviceMeta(name(other))), "default.unknown");
  }
});
