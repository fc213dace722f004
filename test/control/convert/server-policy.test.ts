import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { formatCidr } from "../../../src/addr/cidr.ts";
import { serverPolicyFromProto } from "../../../src/control/convert/server-policy.ts";
import { invalidServerPolicy } from "../../../src/policy/invalid.ts";
import type { Authorization, ServerPolicy } from "../../../src/policy/server-policy.ts";
import { ServerSchema, type Authz, type AuthzSchema } from "../../../src/proto/gen/inbound_pb.js";
import { fixture } from "../fixture.ts";

type ServerInit = MessageInitShape<typeof ServerSchema>;

function valid(init: ServerInit): ServerPolicy {
  const policy = serverPolicyFromProto(create(ServerSchema, init));
  return policy.ok ? policy.value : assert.fail(policy.problem);
}
function problem(init: ServerInit): string {
  const policy = serverPolicyFromProto(create(ServerSchema, init));
  return policy.ok ? assert.fail("is valid") : policy.problem;
}
function example(name: string): ServerPolicy {
  const policy = serverPolicyFromProto(fixture(ServerSchema, name));
  return policy.ok ? policy.value : assert.fail(policy.problem);
}
const names = (authorizations: readonly Authorization[]) => authorizations.map((a) => a.meta.name);

const everywhere = { net: { ip: { ip: { case: "ipv4", value: 0 } } } } as const;
const anybody = { permit: { case: "unauthenticated", value: {} } } as const;
type AuthzInit = Exclude<MessageInitShape<typeof AuthzSchema>, Authz>;
const authz: AuthzInit = {
  networks: [everywhere],
  authentication: anybody,
  labels: { name: "all" },
};
const opaque = { kind: { case: "opaque", value: {} } } as const;
const labels = { group: "policy.linkerd.io", kind: "server", name: "web" };

describe("a server from a controller", () => {
  it("with the default policy has its routes, each with its own authorizations first, and localhost last", () => {
    const policy = example("all-unauthenticated-server");
    assert.deepEqual(policy.meta, { kind: "default", name: "all-unauthenticated" });
    assert.deepEqual(names(policy.authorizations), ["all-unauthenticated", "localhost"]);
    assert.ok(policy.protocol.kind === "detect");
    assert.equal(policy.protocol.timeoutMs, 10_000);
    const [route, probe] = policy.protocol.routes;
    assert.deepEqual(names(route?.authorizations ?? []), ["all-unauthenticated", "localhost"]);
    assert.deepEqual(names(probe?.authorizations ?? []), ["probe", "all-unauthenticated", "localhost"]);
    assert.equal(probe?.rules[0]?.matches[0]?.method, "GET");
    assert.deepEqual(probe?.rules[0]?.matches[0]?.path, { kind: "exact", path: "/healthz" });
    assert.deepEqual(
      policy.authorizations[0]?.networks.map((n) => formatCidr(n.net)),
      ["0.0.0.0/0", "::/0"],
    );
  });

  it("with cluster-authenticated admits every DNS identity of the cluster networks", () => {
    const [authorization] = example("cluster-authenticated-server").authorizations;
    assert.deepEqual(
      authorization?.networks.map((n) => formatCidr(n.net)),
      ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"],
    );
    assert.deepEqual(authorization?.authentication, {
      kind: "tls_authenticated",
      identities: new Set(),
      suffixes: [""],
    });
  });

  it("with routes and a rate limit has no authorization of its own but localhost", () => {
    const policy = example("rate-limited-server");
    assert.deepEqual(names(policy.authorizations), ["localhost"]);
    assert.ok(policy.protocol.kind === "http1");
    assert.deepEqual(
      policy.protocol.routes.map((route) => names(route.authorizations)),
      [
        ["web-read-clients", "localhost"],
        ["web-health-kubelet", "localhost"],
      ],
    );
    assert.deepEqual(policy.protocol.routes[0]?.authorizations[0]?.authentication, {
      kind: "tls_authenticated",
      identities: new Set(["client.shop.serviceaccount.identity.linkerd.cluster.local"]),
      suffixes: [".ops.serviceaccount.identity.linkerd.cluster.local"],
    });
    assert.deepEqual(policy.protocol.rateLimit, {
      meta: {
        kind: "resource",
        group: "policy.linkerd.io",
        resourceKind: "HTTPLocalRateLimitPolicy",
        name: "web-rl",
        namespace: "",
        section: "",
        port: undefined,
      },
      totalRps: 1000,
      identityRps: 100,
      overrides: [
        {
          rps: 300,
          identities: new Set(["batch.shop.serviceaccount.identity.linkerd.cluster.local"]),
        },
      ],
    });
  });
});

describe("the name of a server", () => {
  const meta = (given: Record<string, string>) => valid({ labels: given, protocol: opaque }).meta;
  const resource = (group: string, resourceKind: string, name: string) => ({
    kind: "resource",
    group,
    resourceKind,
    name,
    namespace: "",
    section: "",
    port: undefined,
  });
  it("is a default where group is empty and kind is default", () => {
    assert.deepEqual(meta({ group: "", kind: "default", name: "deny" }), { kind: "default", name: "deny" });
  });
  it("is a resource where a group is given", () => {
    assert.deepEqual(meta({ group: "x", kind: "default", name: "deny" }), resource("x", "default", "deny"));
  });
  it("has the group of policies where none is given", () => {
    assert.deepEqual(meta({ kind: "server", name: "web" }), resource("policy.linkerd.io", "server", "web"));
  });
  it("may be a default, a resource with kind or a bare name, as 2.11 wrote it", () => {
    assert.deepEqual(meta({ name: "default:deny" }), { kind: "default", name: "deny" });
    assert.deepEqual(meta({ name: "thing:web" }), resource("policy.linkerd.io", "thing", "web"));
    assert.deepEqual(meta({ name: "web" }), resource("policy.linkerd.io", "server", "web"));
  });
});

describe("a server that says little", () => {
  it("routes every request by its own authorizations when it has no routes", () => {
    for (const kind of ["http1", "http2"] as const) {
      const { protocol } = valid({
        labels,
        protocol: { kind: { case: kind, value: {} } },
        authorizations: [authz],
      });
      assert.ok(protocol.kind === kind);
      assert.equal(protocol.routes[0]?.meta.name, "default");
      assert.deepEqual(names(protocol.routes[0]?.authorizations ?? []), ["all", "localhost"]);
      assert.equal(protocol.routes[0]?.rules.length, 1);
    }
    const { protocol } = valid({ labels, protocol: { kind: { case: "grpc", value: {} } } });
    assert.ok(protocol.kind === "grpc");
    assert.deepEqual(names(protocol.routes[0]?.authorizations ?? []), ["localhost"]);
  });

  it("keeps a filter of unknown kind as one that fails the request", () => {
    const metadata = { kind: { case: "default", value: "r" } } as const;
    const { protocol } = valid({
      labels,
      protocol: {
        kind: { case: "http1", value: { routes: [{ metadata, rules: [{ filters: [{}] }] }] } },
      },
    });
    assert.ok(protocol.kind === "http1");
    assert.equal(protocol.routes[0]?.rules[0]?.filters[0]?.kind, "internal_error");
  });

  it("has no limit where the limit is 0, and leaves out identities that are none", () => {
    const { protocol } = valid({
      labels,
      protocol: {
        kind: {
          case: "http2",
          value: {
            localRateLimit: {
              total: { requestsPerSecond: 0 },
              overrides: [
                { limit: { requestsPerSecond: 0 }, clients: { identities: [{ name: "a.b" }] } },
                {
                  limit: { requestsPerSecond: 5 },
                  clients: { identities: [{ name: "not an id" }, { name: "A.B" }] },
                },
              ],
            },
          },
        },
      },
    });
    assert.ok(protocol.kind === "http2");
    assert.equal(protocol.rateLimit?.totalRps, undefined);
    assert.equal(protocol.rateLimit?.identityRps, undefined);
    assert.deepEqual(protocol.rateLimit?.overrides, [{ rps: 5, identities: new Set(["a.b"]) }]);
  });
});

describe("a server that cannot be understood", () => {
  const detect = (timeout: { seconds: bigint; nanos?: number } | undefined): ServerInit => ({
    labels,
    protocol: { kind: { case: "detect", value: timeout === undefined ? {} : { timeout } } },
  });
  const withAuthz = (init: AuthzInit): ServerInit => ({
    labels,
    protocol: opaque,
    authorizations: [authz, { ...authz, ...init }],
  });
  const withMatch = (path: string): ServerInit => ({
    labels,
    protocol: {
      kind: {
        case: "http1",
        value: {
          routes: [
            {
              metadata: { kind: { case: "default", value: "r" } },
              rules: [{}, { matches: [{}, { path: { kind: { case: "regex", value: path } } }] }],
            },
          ],
        },
      },
    },
  });
  const cases: readonly (readonly [string, ServerInit, RegExp])[] = [
    ["without a name", { protocol: opaque }, /^labels: has no name$/],
    ["without a protocol", { labels }, /^protocol: is missing$/],
    ["with a protocol of unknown kind", { labels, protocol: {} }, /^protocol: has no kind$/],
    ["without a detect timeout", detect(undefined), /^protocol\.detect\.timeout: is missing$/],
    [
      "with a negative timeout",
      detect({ seconds: -1n }),
      /^protocol\.detect\.timeout: is a negative duration$/,
    ],
    ["with negative nanoseconds", detect({ seconds: 0n, nanos: -1 }), /timeout: is a negative duration$/],
    ["with a timeout out of range", detect({ seconds: 2n ** 62n }), /timeout: is not a valid duration$/],
    [
      "with a route without metadata",
      { labels, protocol: { kind: { case: "http1", value: { routes: [{}] } } } },
      /^protocol\.http1\.routes\[0\]\.metadata: is missing$/,
    ],
    [
      "with a bad regular expression",
      withMatch("(["),
      /^protocol\.http1\.routes\[0\]\.rules\[1\]\.matches\[1\]\.path\.regex: /,
    ],
    [
      "with an authorization for no network",
      withAuthz({ networks: [] }),
      /^authorizations\[1\]\.networks: is empty$/,
    ],
    [
      "with an empty network",
      withAuthz({ networks: [{}] }),
      /^authorizations\[1\]\.networks\[0\]\.net: is missing$/,
    ],
    [
      "with a prefix that is too long",
      withAuthz({ networks: [{ net: { ...everywhere.net, prefixLen: 33 } }] }),
      /^authorizations\[1\]\.networks\[0\]\.net: prefix_len 33 is more than 32 bits$/,
    ],
    [
      "with an authorization that permits nobody",
      withAuthz({ authentication: {} }),
      /^authorizations\[1\]\.authentication: permits nobody$/,
    ],
    [
      "with mesh TLS for nobody",
      withAuthz({ authentication: { permit: { case: "meshTLS", value: {} } } }),
      /^authorizations\[1\]\.authentication\.meshTLS: permits nobody$/,
    ],
    [
      "with an authorization without a name",
      withAuthz({ labels: {} }),
      /^authorizations\[1\]\.labels: has no name$/,
    ],
  ];
  for (const [name, init, expected] of cases) {
    it(`${name} is a problem that names the field`, () => assert.match(problem(init), expected));
  }

  it("is replaced by a policy that lets nobody in, not even the pod itself", () => {
    const policy = invalidServerPolicy(10_000);
    assert.deepEqual(policy.authorizations, []);
    assert.ok(policy.protocol.kind === "detect");
    assert.deepEqual(
      policy.protocol.routes.map((route) => route.authorizations),
      [[]],
    );
    assert.equal(policy.protocol.routes[0]?.rules[0]?.filters[0]?.kind, "internal_error");
  });
});
