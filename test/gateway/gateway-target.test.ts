import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayTarget } from "../../src/gateway/gateway-target.ts";
import { name } from "../outbound/scripted.ts";

const SVC = ["svc.cluster.local."];

const CASES: readonly (readonly [target: string, suffixes: readonly string[], reached: boolean])[] = [
  ["web.shop.svc.cluster.local:80", SVC, true],
  ["web.shop.svc.cluster.local.:80", SVC, true],
  ["web.shop.svc.cluster.local:80", ["svc.cluster.local"], true],
  ["WEB.shop.SVC.cluster.local:80", SVC, true],
  ["svc.cluster.local:80", SVC, true],
  // At a boundary of labels, and nowhere else.
  ["web.shop.notsvc.cluster.local:80", SVC, false],
  ["xsvc.cluster.local:80", SVC, false],
  ["web.shop.svc.cluster.local.example.org:80", SVC, false],
  ["cluster.local:80", SVC, false],
  ["example.org:80", SVC, false],
  ["example.org:80", ["."], true],
  ["example.org:80", ["svc.cluster.local.", "example.org"], true],
  ["web.shop.svc.cluster.local:80", [], false],
];

for (const [target, suffixes, reached] of CASES) {
  const outcome = reached ? "reached" : "refused";
  const below = suffixes.join(" or ");
  test(`inbound 4.5: ${target} is ${outcome} by a gateway to names below [${below}]`, () => {
    const found = gatewayTarget(name(target), suffixes);
    assert.equal(found.ok, reached);
    if (!found.ok) assert.match(found.problem, /is not among the names that this gateway reaches/);
  });
}
