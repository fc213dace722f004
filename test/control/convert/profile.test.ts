import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { profileFromProto } from "../../../src/control/convert/profile.ts";
import type { RequestMatch } from "../../../src/policy/client-policy.ts";
import {
  DestinationProfileSchema,
  type RequestMatchSchema,
  type ResponseMatchSchema,
  type RetryBudgetSchema,
} from "../../../src/proto/gen/destination_pb.js";
import { HttpMethod_Registered } from "../../../src/proto/gen/http_types_pb.js";
import { fixture } from "../fixture.ts";

type Condition = MessageInitShape<typeof RequestMatchSchema>;
type Response = MessageInitShape<typeof ResponseMatchSchema>;
const profile = (init: MessageInitShape<typeof DestinationProfileSchema>, port = 80) =>
  profileFromProto(create(DestinationProfileSchema, init), port);

/** The condition of a route, or undefined where the route was dropped. */
const condition = (init: Condition): RequestMatch | undefined =>
  profile({ routes: [{ condition: init }] }).routes[0]?.condition;
const path = (regex: string): Condition => ({ match: { case: "path", value: { regex } } });
const unusable: Condition = { match: { case: "path", value: { regex: "([" } } };
const get: Condition = {
  match: { case: "method", value: { type: { case: "registered", value: HttpMethod_Registered.GET } } },
};

describe("a profile from a controller", () => {
  it("of a service has its logical name with the port that was asked for", () => {
    const result = profileFromProto(fixture(DestinationProfileSchema, "service-profile"), 8080);
    assert.deepEqual(result.logical, { name: "web.shop.svc.cluster.local", port: 8080 });
    assert.deepEqual([result.routes, result.targets, result.endpoint], [[], [], undefined]);
    assert.equal(result.retryBudget?.ttlMs, 10_000);
    assert.equal(result.retryBudget?.minRetriesPerSecond, 10);
  });
  it("of a pod has its endpoint", () => {
    const result = profileFromProto(fixture(DestinationProfileSchema, "headless-pod-profile"), 6379);
    assert.equal(result.opaqueProtocol, true);
    assert.equal(result.logical, undefined);
    assert.equal(result.endpoint?.addr.ip.text, "10.42.3.9");
    assert.equal(result.endpoint?.metadata.protocolHint, "opaque");
  });
  it("may be entirely empty", () => {
    assert.deepEqual(profile({}), {
      logical: undefined,
      opaqueProtocol: false,
      endpoint: undefined,
      routes: [],
      targets: [],
      retryBudget: undefined,
    });
  });
});

describe("the conditions of a profile", () => {
  it("match whole paths, blanks aside", () => {
    for (const regex of ["/a.*", " /a.* ", "^/a.*$"]) {
      const match = condition(path(regex));
      assert.ok(match?.kind === "path");
      for (const path of ["/a", "/abc"]) assert.ok(match.regex.matchesWhole(path), regex);
      for (const path of ["/b/a", "a"]) assert.ok(!match.regex.matchesWhole(path), regex);
    }
  });
  it("match whole paths in each of their alternatives", () => {
    for (const regex of ["/a|/ab|/b/.*", "^/a$|^/ab$|^/b/.*$"]) {
      const match = condition(path(regex));
      assert.ok(match?.kind === "path");
      for (const path of ["/a", "/ab", "/b/c"]) assert.ok(match.regex.matchesWhole(path), `${regex} ${path}`);
      for (const path of ["/abc", "/c/a", "/x/b/c"])
        assert.ok(!match.regex.matchesWhole(path), `${regex} ${path}`);
    }
  });
  it("drop the route when parentheses are unbalanced", () => {
    assert.equal(condition(path("/a)|(/b")), undefined);
  });
  it("drop the route when they are missing, unknown or not a regular expression", () => {
    assert.deepEqual(profile({ routes: [{}] }).routes, []);
    assert.equal(condition({}), undefined);
    assert.equal(condition(unusable), undefined);
    assert.equal(condition({ match: { case: "method", value: {} } }), undefined);
  });
  it("leave unusable members out of lists", () => {
    const match = condition({ match: { case: "all", value: { matches: [unusable, get, {}] } } });
    assert.deepEqual(match, { kind: "all", of: [{ kind: "method", method: "GET" }] });
    assert.deepEqual(condition({ match: { case: "any", value: {} } }), { kind: "any", of: [] });
  });
  it("are spoilt by an unusable negation", () => {
    assert.equal(condition({ match: { case: "not", value: unusable } }), undefined);
    assert.deepEqual(condition({ match: { case: "not", value: get } }), {
      kind: "not",
      of: { kind: "method", method: "GET" },
    });
  });
  it("are unusable when they nest without end", () => {
    let deep: Condition = get;
    for (let i = 0; i < 100; i++) deep = { match: { case: "not", value: deep } };
    assert.equal(condition(deep), undefined);
  });
});

describe("the response classes of a profile", () => {
  const classes = (init: Response) =>
    profile({ routes: [{ condition: get, responseClasses: [{ condition: init, isFailure: true }] }] })
      .routes[0]?.responseClasses;
  const status = (min: number, max: number): Response => ({ match: { case: "status", value: { min, max } } });
  it("are status ranges within 100 to 999", () => {
    assert.deepEqual(classes(status(500, 599)), [
      { condition: { kind: "status", low: 500, high: 599 }, isFailure: true },
    ]);
    for (const bad of [status(0, 599), status(500, 0), status(99, 100), status(100, 1000), {}]) {
      assert.deepEqual(classes(bad), []);
    }
  });
  it("are unusable as empty lists", () => {
    assert.deepEqual(classes({ match: { case: "all", value: {} } }), []);
    assert.deepEqual(classes({ match: { case: "any", value: { matches: [status(1, 2)] } } }), []);
    assert.equal(classes({ match: { case: "not", value: status(500, 599) } })?.length, 1);
  });
});

describe("the rest of a profile", () => {
  it("drops targets without weight or name", () => {
    const { targets } = profile({
      dstOverrides: [
        { authority: "a.shop:80", weight: 1 },
        { authority: "b.shop:80", weight: 0 },
        { authority: "c.shop", weight: 1 },
        { authority: "192.0.2.1:80", weight: 1 },
        { authority: "", weight: 1 },
      ],
    });
    assert.deepEqual(targets, [{ addr: { name: "a.shop", port: 80 }, weight: 1 }]);
  });
  it("ignores a negative timeout", () => {
    const timeoutMs = (seconds: bigint) =>
      profile({ routes: [{ condition: get, timeout: { seconds } }] }).routes[0]?.timeoutMs;
    assert.equal(timeoutMs(2n), 2000);
    assert.equal(timeoutMs(-2n), undefined);
  });
  it("ignores a retry budget that is out of bounds", () => {
    const budget = (init: Exclude<MessageInitShape<typeof RetryBudgetSchema>, { $typeName: string }>) =>
      profile({ retryBudget: { ttl: { seconds: 10n }, ...init } }).retryBudget;
    assert.deepEqual(budget({ retryRatio: 1000, minRetriesPerSecond: 2 ** 31 - 1 }), {
      retryRatio: 1000,
      minRetriesPerSecond: 2 ** 31 - 1,
      ttlMs: 10_000,
    });
    assert.equal(budget({ retryRatio: 1001 }), undefined);
    assert.equal(budget({ retryRatio: -0.1 }), undefined);
    assert.equal(budget({ retryRatio: Number.NaN }), undefined);
    assert.equal(budget({ minRetriesPerSecond: 2 ** 31 }), undefined);
    assert.equal(budget({ ttl: { nanos: 999_000_000 } }), undefined);
    assert.equal(budget({ ttl: { seconds: 61n } }), undefined);
    assert.equal(profile({ retryBudget: { retryRatio: 1 } }).retryBudget, undefined);
  });
  it("has no logical name where the name is none", () => {
    assert.equal(profile({ fullyQualifiedName: "not a name" }).logical, undefined);
  });
});
