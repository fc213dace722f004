import assert from "node:assert/strict";
import { test } from "node:test";
import { authorize } from "../../src/policy/authorize.ts";
import { applyRequestFilters } from "../../src/policy/apply-filters.ts";
import type { ClientPolicy } from "../../src/policy/client-policy.ts";
import { NO_METADATA } from "../../src/policy/endpoint.ts";
import { httpRouteTable } from "../../src/policy/find-route.ts";
import { invalidClientPolicy, invalidServerPolicy } from "../../src/policy/invalid.ts";
import { synthesizeBalance, synthesizeForward, unknownEndpoint } from "../../src/policy/synthesize.ts";
import { parseAddr } from "../../src/addr/name-addr.ts";
import { ip, request } from "./requests.ts";

test("an invalid server policy lets nobody in, not even localhost", () => {
  const policy = invalidServerPolicy(5000);
  const client = { ip: ip("127.0.0.1"), tls: { kind: "none" } } as const;
  assert.equal(authorize(policy.authorizations, client), undefined);
  assert.ok(policy.protocol.kind === "detect");
  const found = httpRouteTable(policy.protocol.routes).find(request({ path: "/" }));
  assert.equal(authorize(found?.route.authorizations ?? [], client), undefined);
  assert.equal(policy.meta.name, "invalid");
});

test("an invalid client policy fails every request and closes every other connection", () => {
  const { protocol, parent } = invalidClientPolicy(5000);
  assert.equal(parent.name, "invalid");
  assert.ok(protocol.kind === "detect");
  for (const routes of [protocol.http1.routes, protocol.http2.routes]) {
    const found = httpRouteTable(routes).find(request({ path: "/" }));
    const error = applyRequestFilters(
      found?.rule.filters ?? [],
      request({ path: "/" }),
      undefined,
      Math.random,
    );
    assert.equal(error?.code, "invalid_policy");
  }
  assert.equal(protocol.opaque?.filters[0]?.kind, "internal_error");
});

/** The dispatchers of all three protocols of a policy that detects. */
function dispatchers(policy: ClientPolicy): unknown[] {
  assert.ok(policy.protocol.kind === "detect");
  const { http1, http2, opaque } = policy.protocol;
  const of = [http1, http2].map(
    (p) => httpRouteTable(p.routes).find(request({ path: "/x" }))?.rule.distribution,
  );
  return [...of, opaque?.distribution].map((d) =>
    d?.kind === "first_available" ? d.backends.map((b) => b.backend.dispatcher) : d,
  );
}

test("without a policy everything goes to the address that was dialled, in clear text", () => {
  const endpoint = unknownEndpoint({ ip: ip("192.0.2.1"), port: 8080 });
  assert.equal(endpoint.metadata, NO_METADATA);
  const policy = synthesizeForward("fallback", endpoint, 5000);
  const forward = [{ kind: "forward", endpoint }];
  assert.deepEqual(dispatchers(policy), [forward, forward, forward]);
  assert.equal(policy.parent.name, "fallback");
});

test("without a policy a name is balanced with the default load", () => {
  const addr = parseAddr("web.shop.svc.cluster.local:80");
  assert.ok(addr.ok && addr.value.kind === "name");
  const path = addr.value.name;
  const balance = [{ kind: "balance", path, load: { kind: "peak_ewma", defaultRttMs: 30, decayMs: 10_000 } }];
  assert.deepEqual(dispatchers(synthesizeBalance("profile", path, 5000)), [balance, balance, balance]);
});
