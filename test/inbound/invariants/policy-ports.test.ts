import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp } from "../../../src/addr/ip.ts";
import {
  DEFAULT_POLICY_NAMES,
  defaultServerPolicy,
  opaqueServerPolicy,
  type DefaultPolicyName,
} from "../../../src/policy/default-policies.ts";
import { parseCidr } from "../../../src/addr/cidr.ts";
import type { ServerPolicy } from "../../../src/policy/server-policy.ts";
import { unwrap, type InboundListenerOptions } from "../../conformance/inbound-listener.ts";
import {
  anybody,
  EVERYWHERE,
  FRIEND,
  ipv4,
  PolicyLab,
  server,
  SPIFFE,
  type ServerInit,
} from "./policy-lab.ts";

const DETECT_TIMEOUT_MS = 10_000;

async function withLab(
  options: InboundListenerOptions,
  test: (lab: PolicyLab) => Promise<void>,
): Promise<void> {
  const lab = await PolicyLab.start(options);
  try {
    await test(lab);
  } finally {
    await lab.close();
  }
}

function byDefault(name: DefaultPolicyName): ServerPolicy {
  const clusterNetworks = [unwrap(parseCidr("127.0.0.8/30"))];
  return defaultServerPolicy(name, { detectTimeoutMs: DETECT_TIMEOUT_MS, clusterNetworks });
}

describe("a port of which the controller has said nothing", { timeout: 30_000 }, () => {
  /** Statuses of a near client in clear text, near and meshed, far and meshed, near with a SPIFFE identity, of the workload itself. */
  const EXPECTED: Readonly<Record<DefaultPolicyName, readonly number[]>> = {
    "all-unauthenticated": [200, 200, 200, 200, 200],
    "all-authenticated": [403, 200, 200, 403, 403],
    "cluster-unauthenticated": [200, 200, 403, 200, 403],
    "cluster-authenticated": [403, 200, 403, 403, 403],
    audit: [200, 200, 200, 200, 200],
    // Opaque, so that nothing is even read: no status at all.
    deny: [0, 0, 0, 0, 0],
  };
  for (const name of DEFAULT_POLICY_NAMES) {
    it(`inbound 1.4: has the default policy ${name} while the controller cannot be reached`, async () => {
      await withLab({ defaultPolicy: byDefault(name) }, async (lab) => {
        lab.kill();
        const asked = [
          [undefined, "127.0.0.9"],
          [FRIEND, "127.0.0.9"],
          [FRIEND, "127.0.0.77"],
          [SPIFFE, "127.0.0.9"],
          [undefined, "127.0.0.1"],
        ] as const;
        const statuses: number[] = [];
        for (const [as, from] of asked) {
          // What is refused unread never ends its handshake: clear text shows the same.
          const answer = lab.get(name === "deny" ? undefined : as, {}, from);
          statuses.push(
            await answer.then(
              ({ status }) => status,
              () => 0,
            ),
          );
        }
        assert.deepEqual(statuses, EXPECTED[name]);
        if (name === "deny") assert.equal(lab.app.accepted, 0);
        const labels = { srv_kind: "default", srv_name: name };
        const decided = name === "deny" ? "inbound_tcp_authz_deny_total" : "inbound_http_authz_allow_total";
        assert.ok((await lab.count(decided, labels)) > 0);
      });
    });
  }

  it("inbound 1.3: is opaque where the configuration says so, with the same authorization", async () => {
    const policy = opaqueServerPolicy(byDefault("cluster-unauthenticated"));
    await withLab({ defaultPolicy: policy }, async (lab) => {
      assert.equal((await lab.get(undefined)).status, 200);
      assert.equal(await lab.echo(undefined, "127.0.0.77"), false);
      assert.equal(await lab.count("inbound_tcp_authz_allow_total", { no_tls_reason: "port_skipped" }), 1);
      assert.equal(await lab.count("inbound_http_authz_allow_total"), 0);
    });
  });

  it("invariant 17, ranked 7: follows the controller as soon as it is there, also when it starts late", async () => {
    await withLab({ defaultPolicy: byDefault("all-unauthenticated") }, async (lab) => {
      lab.kill();
      assert.equal((await lab.get(undefined)).status, 200);
      await lab.controller.start();
      await lab.publish(server("nobody", []));
      assert.equal((await lab.get(undefined)).status, 403);
    });
  });

  it("inbound 1.3: keeps its last policy for ever when the controller calls the question wrong", async () => {
    await withLab({ defaultPolicy: byDefault("deny") }, async (lab) => {
      const call = await lab.controller.watchPort.next();
      call.emit("error", Object.assign(new Error("bad workload"), { code: 3, details: "bad workload" }));
      await lab.heard("inbound policy is no longer updated");
      assert.equal(await lab.echo(undefined), false);
      assert.equal(lab.controller.watchPort.opened, 1);
    });
  });
});

describe("the kind of a port", { timeout: 30_000 }, () => {
  it("inbound 1.5: bytes that are not HTTP are refused where HTTP is all there is, whoever sends them", async () => {
    await withLab({}, async (lab) => {
      for (const kind of ["http1", "http2", "grpc"] as const) {
        const protocol = { kind: { case: kind, value: {} } } as NonNullable<ServerInit["protocol"]>;
        await lab.publish(server(kind, [anybody("a")], { protocol }));
        assert.equal(await lab.echo(undefined).catch(() => false), false, kind);
        assert.equal(await lab.echo(FRIEND).catch(() => false), false, kind);
      }
      assert.equal(lab.app.accepted, 0);
    });
  });

  it("inbound 6.1, 6.4: routes admit by their own authorizations first, and what no route takes is 404", async () => {
    const prefix = (value: string) => ({ matches: [{ path: { kind: { case: "prefix" as const, value } } }] });
    await withLab({}, async (lab) => {
      await lab.publish(
        server("routed", [anybody("of-server", [ipv4("127.0.0.8/30")])], {
          protocol: {
            kind: {
              case: "detect",
              value: {
                timeout: { seconds: 10n },
                httpRoutes: [
                  {
                    metadata: { kind: { case: "default", value: "public" } },
                    rules: [prefix("/public")],
                    authorizations: [anybody("of-route")],
                  },
                  { metadata: { kind: { case: "default", value: "private" } }, rules: [prefix("/private")] },
                ],
              },
            },
          },
        }),
      );
      const status = async (path: string, from: string): Promise<number> =>
        (await lab.get(undefined, { path }, from)).status;
      const asked = ["/public/a", "/private/a", "/publicity", "/"];
      const near = await Promise.all(asked.map((path) => status(path, "127.0.0.9")));
      const far = await Promise.all(asked.map((path) => status(path, "127.0.0.77")));
      assert.deepEqual(
        [near, far],
        [
          [200, 200, 404, 404],
          [200, 403, 404, 404],
        ],
      );
      const allowed = "inbound_http_authz_allow_total";
      assert.equal(await lab.count(allowed, { route_name: "public", authz_name: "of-route" }), 2);
      assert.equal(await lab.count(allowed, { route_name: "private", authz_name: "of-server" }), 1);
      assert.equal(await lab.count("inbound_http_route_not_found_total", { srv_name: "routed" }), 4);
    });
  });

  it("inbound 1.2: a connection to an address that is not the workload's is dropped and counted", async () => {
    await withLab({ ips: [unwrap(parseIp("192.0.2.7"))] }, async (lab) => {
      await lab.publish(server("open", [anybody("a")]));
      await assert.rejects(lab.get(undefined));
      assert.equal(await lab.echo(undefined), false);
      assert.equal(lab.app.accepted, 0);
      assert.equal(await lab.count("inbound_tcp_errors_total", { error: "unexpected" }), 2);
    });
  });
});

describe("addresses of clients", { timeout: 30_000 }, () => {
  it("invariant 19: IPv4 clients of a dual-stack listener are IPv4, and IPv6 clients are in no IPv4 network", async () => {
    await withLab({ listen: "[::]:0" }, async (lab) => {
      const [ipv4Everywhere, ipv6Everywhere] = EVERYWHERE;
      assert.ok(ipv4Everywhere !== undefined && ipv6Everywhere !== undefined);
      const statuses = async (): Promise<readonly number[]> => [
        (await lab.get(undefined, {}, "127.0.0.9")).status,
        (await lab.get(FRIEND, {}, "::1")).status,
      ];
      // The workload itself may always; ::1 is the workload, so it is taken out of the way by the name of the allower.
      await lab.publish(server("ipv4", [anybody("all-of-ipv4", [ipv4Everywhere])]));
      assert.deepEqual(await statuses(), [200, 200]);
      const allowed = "inbound_http_authz_allow_total";
      assert.equal(await lab.count(allowed, { srv_name: "ipv4", authz_name: "all-of-ipv4" }), 1);
      assert.equal(await lab.count(allowed, { srv_name: "ipv4", authz_name: "localhost" }), 1);
      await lab.publish(server("ipv6", [anybody("all-of-ipv6", [ipv6Everywhere])]));
      assert.deepEqual(await statuses(), [403, 200]);
      assert.equal(await lab.count(allowed, { srv_name: "ipv6", authz_name: "all-of-ipv6" }), 1);
    });
  });
});
