import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fixture } from "../../control/fixture.ts";
import { ServerSchema } from "../../../src/proto/gen/inbound_pb.js";
import { until } from "../../socket/pair.ts";
import {
  anybody,
  echo,
  ELSEWHERE,
  FRIEND,
  http1,
  identified,
  ipv4,
  PolicyLab,
  server,
  SPIFFE,
  STRANGER,
  type ServerInit,
} from "./policy-lab.ts";

const GRPC = { ":method": "POST", ":path": "/shop.Stock/Get", "content-type": "application/grpc" };
const EVERY_CLIENT = [undefined, "", FRIEND, STRANGER, SPIFFE] as const;

describe("policies of a port, over real connections", { timeout: 30_000 }, () => {
  let lab: PolicyLab;
  before(async () => {
    lab = await PolicyLab.start();
  });
  after(() => lab.close());

  it("invariant 15, ranked 1: default deny means that not one byte reaches the application, whoever asks for whatever", async () => {
    const before = lab.app.accepted;
    for (const [name, rest] of [
      ["nobody-detect", {}],
      ["nobody-opaque", { protocol: { kind: { case: "opaque", value: {} } } }],
      ["nobody-tls", { protocol: { kind: { case: "tls", value: {} } } }],
    ] satisfies [string, ServerInit][]) {
      await lab.publish(server(name, [], rest));
      for (const as of EVERY_CLIENT) {
        // An opaque port is closed before any handshake.
        assert.equal(await lab.echo(as).catch(() => false), false, `${name}: bytes of ${as}`);
        if (name !== "nobody-detect") continue;
        assert.equal((await lab.get(as)).status, 403, `${as}`);
        assert.equal((await lab.get2(as)).status, 403, `${as}`);
        assert.equal((await lab.get2(as, GRPC)).headers.get("grpc-status"), "7", `${as}`);
      }
    }
    assert.equal(lab.app.accepted, before);
  });

  it("ranked 1: a client without the certificate that is asked for, or with another one, gets nowhere", async () => {
    const ops = ["other", "serviceaccount", "identity", "linkerd", "cluster", "local"];
    for (const [name, authorization, admitted] of [
      ["friends", identified("a", [FRIEND]), [FRIEND]],
      ["suffix", identified("a", [], [ops]), [STRANGER]],
      ["any-dns-identity", identified("a", [], [[]]), [FRIEND, STRANGER]],
      ["spiffe", identified("a", [SPIFFE]), [SPIFFE]],
    ] satisfies [string, Parameters<typeof server>[1][number], string[]][]) {
      await lab.publish(server(name, [authorization]));
      const before = lab.app.served;
      for (const as of EVERY_CLIENT) {
        const may = as !== undefined && admitted.some((id) => id === as);
        assert.equal((await lab.get(as)).status, may ? 200 : 403, `${name}: ${as}`);
        assert.equal(await lab.echo(as), may, `${name}: bytes of ${as}`);
      }
      assert.equal(lab.app.served - before, admitted.length * 2, name);
    }
  });

  it("inbound 6.2: mesh TLS without identity asks for TLS that ends here, and for nothing else", async () => {
    const tls = {
      permit: { case: "meshTLS", value: { clients: { case: "unauthenticated", value: {} } } },
    } as const;
    await lab.publish(server("any-tls", [{ ...anybody("a"), authentication: tls }]));
    const statuses = [];
    for (const as of EVERY_CLIENT) statuses.push((await lab.get(as)).status);
    assert.deepEqual(statuses, [403, 200, 200, 200, 200]);
  });

  /** Each is what a newer, or a broken, controller may send. */
  const UNDECODABLE: readonly (readonly [what: string, init: ServerInit])[] = [
    ["no protocol", { labels: { name: "x" }, authorizations: [anybody("a")] }],
    ["a protocol of no known kind", server("x", [anybody("a")], { protocol: {} })],
    ["no detect timeout", server("x", [anybody("a")], { protocol: { kind: { case: "detect", value: {} } } })],
    ["an authorization without networks", server("x", [anybody("a"), anybody("b", [])])],
    [
      "an authorization without authentication",
      server("x", [{ networks: [ipv4("0.0.0.0/0")], labels: { name: "a" } }]),
    ],
    ["a network longer than an address", server("x", [anybody("a", [ipv4("10.0.0.0/33")])])],
    ["no name", server("x", [anybody("a")], { labels: {} })],
    [
      "a bad regular expression",
      server("x", [anybody("a")], {
        protocol: {
          kind: {
            case: "http1",
            value: {
              routes: [
                {
                  metadata: { kind: { case: "default", value: "r" } },
                  rules: [{ matches: [{ path: { kind: { case: "regex", value: "(" } } }] }],
                },
              ],
            },
          },
        },
      }),
    ],
  ];
  for (const [what, init] of UNDECODABLE) {
    it(`invariant 16: a policy with ${what} lets nobody in, and says so`, async () => {
      await lab.publish(server("open", [anybody("a")]));
      const before = lab.app.served;
      lab.events.length = 0;
      await lab.publish(init, "invalid");
      for (const as of EVERY_CLIENT) {
        assert.equal((await lab.get(as)).status, 403);
        assert.equal(await lab.echo(as), false);
      }
      // Not even the workload itself.
      assert.equal((await lab.get(undefined, {}, "127.0.0.1")).status, 403);
      assert.equal(lab.app.served, before);
      const { port } = await lab.heard("invalid inbound policy: the port lets nobody in");
      assert.equal(port, lab.app.port);
    });
  }

  it("invariant 16: a filter of an unknown kind fails the requests of its rule, after it authorized them", async () => {
    const open = { case: "prefix", value: "/" } as const;
    await lab.publish(
      server("unknown-filter", [identified("a", [FRIEND])], {
        protocol: {
          kind: {
            case: "http1",
            value: {
              routes: [
                {
                  metadata: { kind: { case: "default", value: "r" } },
                  rules: [{ matches: [{ path: { kind: open } }], filters: [{}] }],
                },
              ],
            },
          },
        },
      }),
    );
    const before = lab.app.served;
    assert.equal((await lab.get(undefined)).status, 403);
    assert.equal((await lab.get(FRIEND)).status, 500);
    assert.equal(lab.app.served, before);
  });

  it("invariant 18, ranked 5: an update cuts the tunnel within a second and refuses the next request of a kept connection", async () => {
    await lab.publish(server("friends", [identified("a", [FRIEND])]));
    const [tunnel, kept] = [await lab.connect(FRIEND), await lab.connect(FRIEND)];
    assert.equal(await echo(tunnel), true);
    assert.equal((await http1(kept)).status, 200);
    assert.equal((await lab.get2(FRIEND)).status, 200);
    const terminated = "inbound_tcp_authz_terminate_total";
    const before = await lab.count(terminated);
    const closed = new Promise<number>((resolve) => tunnel.once("close", () => resolve(performance.now())));
    const startMs = performance.now();
    await lab.publish(server("others", [identified("a", [STRANGER])]));
    assert.ok((await closed) - startMs < 1_000);
    assert.equal((await http1(kept)).status, 403);
    assert.equal(await lab.count(terminated, { srv_name: "others", client_id: FRIEND }), before + 1);
    const fields = await lab.heard("Connection terminated due to policy change");
    assert.deepEqual(
      [fields["server.group"], fields["server.kind"], fields["server.name"], fields["client.ip"]],
      ["policy.linkerd.io", "server", "others", ELSEWHERE],
    );
    // And the same connection is good again with the next policy.
    await lab.publish(server("both", [identified("a", [STRANGER, FRIEND])]));
    assert.equal((await http1(kept)).status, 200);
    kept.destroy();
  });

  it("inbound 6.6: an update that still lets a tunnel in leaves it alone", async () => {
    await lab.publish(server("friends", [identified("a", [FRIEND])]));
    const tunnel = await lab.connect(FRIEND);
    assert.equal(await echo(tunnel), true);
    await lab.publish(server("friends-by-suffix", [identified("b", [], [[]])]));
    await lab.publish(
      server("opaque", [identified("a", [FRIEND])], { protocol: { kind: { case: "opaque", value: {} } } }),
    );
    assert.equal(await echo(tunnel), true);
    // HTTP alone: what is not HTTP has no place there.
    await lab.publish(server("http", [anybody("a")], { protocol: { kind: { case: "http2", value: {} } } }));
    await until("the tunnel is closed", () => tunnel.destroyed);
  });

  const CLAIMS = {
    "x-forwarded-for": "127.0.0.1",
    forwarded: "for=127.0.0.1",
    "x-real-ip": "127.0.0.1",
    "l5d-remote-ip": "127.0.0.1",
    "l5d-client-id": FRIEND,
  };
  it("invariant 19: who a client is follows from its socket, never from what it claims", async () => {
    await lab.publish(server("near", [anybody("a", [ipv4("127.0.0.8/30")])]));
    assert.equal((await lab.get(undefined, {}, ELSEWHERE)).status, 200);
    assert.equal((await lab.get(undefined, { headers: CLAIMS }, "127.0.0.77")).status, 403);
    await lab.publish(server("friends", [identified("a", [FRIEND])]));
    assert.equal((await lab.get(undefined, { headers: CLAIMS })).status, 403);
    assert.equal((await lab.get(STRANGER, { headers: CLAIMS })).status, 403);
    // The preface of a load balancer is not HTTP, and no address is read from it.
    await lab.publish(server("near", [anybody("a", [ipv4("127.0.0.8/30")])]));
    const socket = await lab.connect(undefined, "127.0.0.77");
    socket.write("PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nhost: web\r\n\r\n");
    assert.equal(await echo(socket), false);
  });

  it("invariant 19: exceptions of a network are outside of it", async () => {
    const network = ipv4("127.0.0.0/8", ["127.0.0.8/29", "127.1.0.0/16"]);
    await lab.publish(server("all-but-some", [anybody("a", [network])]));
    const status = async (from: string): Promise<number> => (await lab.get(undefined, {}, from)).status;
    assert.deepEqual(
      [
        await status("127.0.0.7"),
        await status("127.0.0.9"),
        await status("127.1.0.1"),
        await status("127.2.0.1"),
      ],
      [200, 403, 403, 200],
    );
  });

  it("inbound 6.1: a workload may talk to itself, where the controller spoke, and not on its other addresses", async () => {
    await lab.publish(server("nobody", []));
    assert.equal((await lab.get(undefined, {}, "127.0.0.1")).status, 200);
    assert.equal((await lab.get(undefined, {}, "127.0.0.2")).status, 403);
    assert.equal(
      await lab.count("inbound_http_authz_allow_total", { authz_kind: "default", authz_name: "localhost" }),
      1,
    );
  });

  it("ranked 11: GET on a probe path is open to the networks of probes, and nothing else is", async () => {
    const message = fixture(ServerSchema, "all-unauthenticated-server");
    const { kind } = message.protocol ?? {};
    assert.ok(kind?.case === "detect");
    const probe = kind.value.httpRoutes.find((route) => route.authorizations.length > 0);
    assert.ok(probe !== undefined);
    const networks = [ipv4("127.0.0.8/30")];
    const [authorization] = probe.authorizations;
    const { metadata, rules } = probe;
    const routes = [
      ...kind.value.httpRoutes.filter((route) => route !== probe),
      {
        rules,
        ...(metadata && { metadata }),
        authorizations: [
          {
            networks,
            ...(authorization?.authentication && { authentication: authorization.authentication }),
            labels: authorization?.labels ?? {},
          },
        ],
      },
    ];
    const timeout = { seconds: 10n };
    await lab.publish({
      labels: { group: "", kind: "default", name: "deny" },
      protocol: { kind: { case: "detect", value: { timeout, httpRoutes: routes } } },
    });
    const status = async (path: string, method = "GET", from = ELSEWHERE): Promise<number> =>
      (await lab.get(undefined, { path, method }, from)).status;
    assert.equal(await status("/healthz"), 200);
    assert.equal(await status("/healthz?verbose=1"), 200);
    const before = lab.app.served;
    for (const path of ["/healthz/", "/healthz/x", "/Healthz", "//healthz", "/%68ealthz", "/", "/healthz;x"])
      assert.equal(await status(path), 403, path);
    for (const method of ["POST", "HEAD", "PUT", "OPTIONS"])
      assert.equal(await status("/healthz", method), 403, method);
    assert.equal(await status("/healthz", "GET", "127.0.0.77"), 403);
    assert.equal(await lab.echo(undefined), false);
    assert.equal(lab.app.served, before);
    const labels = { route_kind: "default", route_name: "probe", authz_name: "probe", srv_name: "deny" };
    assert.equal(await lab.count("inbound_http_authz_allow_total", labels), 2);
  });

  it("ranked 14: audit lets everybody in, says who, and labels it", async () => {
    const audit = anybody("audit");
    await lab.publish(
      server("audited", [
        identified("friends", [FRIEND]),
        { ...audit, labels: { group: "", kind: "default", name: "audit" } },
      ]),
    );
    lab.events.length = 0;
    assert.equal((await lab.get(FRIEND)).status, 200);
    assert.equal(await lab.echo(FRIEND), true);
    // Somebody who is let in by name is no news.
    assert.deepEqual(lab.events, []);
    assert.equal((await lab.get(undefined)).status, 200);
    const request = await lab.heard("Request allowed");
    assert.deepEqual(request, {
      "server.group": "policy.linkerd.io",
      "server.kind": "server",
      "server.name": "audited",
      "route.group": "",
      "route.kind": "default",
      "route.name": "default",
      "client.tls": "none",
      "client.id": undefined,
      "client.ip": ELSEWHERE,
      "client.addr": request["client.addr"],
      "authz.group": "",
      "authz.kind": "default",
      "authz.name": "audit",
    });
    lab.events.length = 0;
    assert.equal(await lab.echo(STRANGER), true);
    const connection = await lab.heard("Request allowed");
    assert.deepEqual(
      [connection["client.id"], connection["authz.name"], connection["route.name"]],
      [STRANGER, "audit", undefined],
    );
    const labels = { authz_kind: "default", authz_name: "audit", srv_name: "audited" };
    assert.equal(await lab.count("inbound_http_authz_allow_total", { ...labels, tls: "no_identity" }), 1);
    assert.equal(await lab.count("inbound_tcp_authz_allow_total", { ...labels, client_id: STRANGER }), 1);
  });

  it("inbound 6.5: a denial says in the log who was refused where, and by which server and route", async () => {
    await lab.publish(server("friends", [identified("a", [FRIEND])]));
    lab.events.length = 0;
    await lab.get(STRANGER);
    await lab.echo(undefined);
    const request = await lab.heard("Request denied");
    assert.deepEqual(
      [
        request["server.name"],
        request["route.name"],
        request["client.tls"],
        request["client.id"],
        request["client.ip"],
      ],
      ["friends", "default", "established", STRANGER, ELSEWHERE],
    );
    const connection = await lab.heard("Connection denied");
    assert.deepEqual(
      [
        connection["server.kind"],
        connection["server.name"],
        connection["client.tls"],
        connection["client.ip"],
      ],
      ["server", "friends", "none", ELSEWHERE],
    );
  });

  it("inbound 6.8: only meshed clients learn why they are refused", async () => {
    await lab.publish(server("nobody", []));
    const told = await lab.get(STRANGER);
    assert.match(
      told.headers.get("l5d-proxy-error") ?? "",
      new RegExp(
        `^client 127\\.0\\.0\\.9:\\d+: server: 127\\.0\\.0\\.1:${lab.app.port}: unauthorized request on route$`,
      ),
    );
    assert.equal(told.headers.get("content-length"), "0");
    const grpc = await lab.get2(STRANGER, GRPC);
    assert.deepEqual([grpc.status, grpc.headers.get("grpc-status")], [200, "7"]);
    assert.match(grpc.headers.get("grpc-message") ?? "", /unauthorized request on route$/);
    for (const as of [undefined, ""]) {
      for (const answer of [await lab.get(as), await lab.get2(as), await lab.get2(as, GRPC)]) {
        const names = [...answer.headers.keys()];
        assert.deepEqual(
          names.filter((name) => name.startsWith("l5d-") || name === "grpc-message"),
          [],
        );
      }
    }
  });

  it("invariant 17, ranked 7: without its controller a policy stays as it is, and follows it again afterwards", async () => {
    const states = async (): Promise<readonly unknown[]> => [
      (await lab.get(FRIEND)).status,
      (await lab.get(STRANGER)).status,
      await lab.echo(FRIEND),
      await lab.echo(undefined),
    ];
    await lab.publish(server("friends", [identified("a", [FRIEND])]));
    const tunnel = await lab.connect(FRIEND);
    assert.equal(await echo(tunnel), true);
    assert.deepEqual(await states(), [200, 403, true, false]);
    lab.kill();
    assert.deepEqual(await states(), [200, 403, true, false]);
    assert.equal(await echo(tunnel), true);
    await lab.controller.start();
    await lab.publish(server("others", [identified("a", [STRANGER])]));
    assert.deepEqual(await states(), [403, 200, false, false]);
    await until("the tunnel is closed", () => tunnel.destroyed);
  });
});
