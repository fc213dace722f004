import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson, type JsonValue } from "@bufbuild/protobuf";
import { profileFromProto } from "../../src/control/convert/profile.ts";
import { findProfile } from "../../src/control-plane/index/profile.ts";
import { DestinationProfileSchema } from "../../src/proto/gen/destination_pb.js";
import { serviceMeta } from "./outbound.ts";
import { clusterOf, valueOf, WEB } from "./support.ts";

const NAME = "web.shop.svc.cluster.local";

function profile(spec: string, namespace = "shop"): string {
  return `---
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: ${NAME}, namespace: ${namespace}}
spec: {${spec}}
`;
}

function profileJson(text: string, token = "", target = "10.96.7.20:80"): { [key: string]: JsonValue } {
  const found = valueOf(findProfile(clusterOf(text), target, token));
  // A message of this type has an object for its JSON.
  return toJson(DestinationProfileSchema, found, { useProtoFieldName: true }) as { [key: string]: JsonValue };
}

test("outbound 5: a profile with routes, classes, a budget and a split", () => {
  const text =
    WEB +
    profile(
      `routes: [
        {name: GET /items, condition: {method: get, pathRegex: '/items/[^/]*'}, isRetryable: true, timeout: 1.5s,
         responseClasses: [{condition: {status: {min: 500, max: 599}}, isFailure: true}, {condition: {all: [{not: {status: {min: 404, max: 404}}}]}}]},
        {name: other, condition: {any: [{method: PURGE}, {not: {pathRegex: /a}}]}}],
      retryBudget: {retryRatio: 0.25, minRetriesPerSecond: 5, ttl: 1m},
      dstOverrides: [{authority: ${NAME}, weight: 1}, {authority: 'web-v2.shop.svc.cluster.local:8080', weight: 500m}]`,
    );
  const expected = {
    fully_qualified_name: NAME,
    parent_ref: serviceMeta("web", 80),
    profile_ref: {
      resource: { group: "linkerd.io", kind: "ServiceProfile", name: NAME, namespace: "shop" },
    },
    retry_budget: { retry_ratio: 0.25, min_retries_per_second: 5, ttl: "60s" },
    routes: [
      {
        condition: {
          all: { matches: [{ method: { registered: "GET" } }, { path: { regex: "/items/[^/]*" } }] },
        },
        response_classes: [
          { condition: { status: { min: 500, max: 599 } }, is_failure: true },
          { condition: { all: { matches: [{ not: { status: { min: 404, max: 404 } } }] } } },
        ],
        metrics_labels: { route: "GET /items" },
        is_retryable: true,
        timeout: "1.500s",
      },
      {
        condition: {
          any: { matches: [{ method: { unregistered: "PURGE" } }, { not: { path: { regex: "/a" } } }] },
        },
        metrics_labels: { route: "other" },
      },
    ],
    dst_overrides: [
      { authority: `${NAME}:80`, weight: 10_000 },
      { authority: "web-v2.shop.svc.cluster.local:8080", weight: 5000 },
    ],
  };
  assert.deepEqual(profileJson(text), expected);
  assert.deepEqual(profileJson(text, "", `${NAME}:80`), expected);
  const understood = profileFromProto(valueOf(findProfile(clusterOf(text), "10.96.7.20:80")), 80);
  assert.deepEqual([understood.routes.length, understood.targets.length], [2, 2]);
  assert.equal(understood.routes[0]?.responseClasses.length, 2);
  assert.equal(understood.retryBudget?.ttlMs, 60_000);
});

test("outbound 5: the client's profile of a service counts before the service's own", () => {
  const both =
    WEB +
    profile("routes: [{name: theirs, condition: {method: GET}}]") +
    profile("routes: [{name: mine, condition: {method: GET}}]", "ops");
  const routeOf = (token: string): JsonValue | undefined => {
    const [first] = valueOf(findProfile(clusterOf(both), "10.96.7.20:80", token)).routes;
    return first?.metricsLabels["route"];
  };
  assert.equal(routeOf('{"ns":"ops", "nodeName":"n"}\n'), "mine");
  assert.equal(routeOf("ns:ops"), "mine");
  assert.equal(routeOf('{"ns":"shop"}'), "theirs");
  assert.equal(routeOf('{"ns":"elsewhere"}'), "theirs");
  assert.equal(routeOf(""), "theirs");
});

test("outbound 5: a profile without a budget has the default one, and opaque ports are the service's to say", () => {
  const { retry_budget: budget, opaque_protocol: opaque } = profileJson(WEB + profile("opaquePorts: ['80']"));
  assert.deepEqual(budget, { retry_ratio: 0.2, min_retries_per_second: 10, ttl: "10s" });
  assert.equal(opaque, undefined);
});

test("outbound 5: a port that the service does not define has no profile, whatever the ServiceProfile says", () => {
  assert.deepEqual(profileJson(WEB + profile("routes: []"), "", "10.96.7.20:9999"), {});
});
