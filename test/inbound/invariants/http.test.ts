import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { Authorization, HttpServerRoute, ServerPolicy } from "../../../src/policy/server-policy.ts";
import { metaDefault } from "../../../src/policy/meta.ts";
import { sum } from "../../socket/pair.ts";
import { TestCa } from "../../support/certs.ts";
import { freePort } from "../../support/process-mesh.ts";
import { DB, WEB } from "../../tls/mesh-peer.ts";
import { ask, exchange, http2App, HttpLab, MESHED_ONLY, NOBODY, OPEN, RawApp, until } from "../http-lab.ts";

const GET = "GET /a HTTP/1.1\r\nHost: h.test\r\n";

describe("HTTP to the application", { timeout: 60_000 }, () => {
  const ca = TestCa.create();
  let app: RawApp;
  let app2: Awaited<ReturnType<typeof http2App>>;
  let http1: HttpLab;
  let http2: HttpLab;
  let down: HttpLab;

  before(async () => {
    app = await RawApp.start();
    app2 = await http2App();
    http1 = await HttpLab.start(ca, app.port);
    http2 = await HttpLab.start(ca, (app2.server.address() as { port: number }).port);
    down = await HttpLab.start(ca, await freePort());
  });

  after(() => {
    for (const lab of [http1, http2, down]) lab.close();
    app.close();
    app2.close();
  });

  /** Values of a header, as the application got it. */
  function valuesOf(name: string, received = app.received): string[] {
    return [...received.matchAll(new RegExp(`^${name}: *(.*?)\r$`, "gim"))].map(([, value = ""]) => value);
  }

  /** Lets one policy hold while something is tried. */
  async function under<T>(policy: ServerPolicy, labs: readonly HttpLab[], act: () => Promise<T>): Promise<T> {
    for (const lab of labs) lab.policy.publish(policy);
    try {
      return await act();
    } finally {
      for (const lab of labs) lab.policy.publish(OPEN);
    }
  }

  test("invariant 24: ranked 4: l5d-client-id is the verified identity or absent, whatever a client sends", async () => {
    const forged = "l5d-client-id: root\r\nL5D-Client-ID: admin\r\nl5D-cLIENT-iD: x\r\n";
    for (const id of [undefined, DB]) {
      const expected = id === undefined ? [] : [id];
      app.forget();
      await exchange(http1.connect(id), `${GET}${forged}\r\n`);
      assert.deepEqual(valuesOf("l5d-client-id"), expected, "HTTP/1");

      app.forget();
      await exchange(
        http1.connect(id),
        `POST /a HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${forged}X-Sum: 1\r\n\r\n`,
      );
      assert.match(app.received, /x-sum: 1/);
      assert.deepEqual(valuesOf("l5d-client-id"), expected, "trailers of HTTP/1");

      app2.seen.length = 0;
      const session = http2.http2(id);
      await ask(session, { "l5d-client-id": ["root", "admin"] });
      session.destroy();
      assert.equal(app2.seen[0]?.["l5d-client-id"], id, "HTTP/2");
    }
    // HTTP/1 that a peer carries over HTTP/2, with trailers.
    app.forget();
    const session = http1.http2(DB);
    await ask(
      session,
      { ":method": "POST", "l5d-orig-proto": "HTTP/1.1", "l5d-client-id": "root" },
      { text: "x", trailers: { "l5d-client-id": "root", "x-sum": "1" } },
    );
    session.destroy();
    assert.match(app.received, /x-sum: 1/);
    assert.deepEqual(valuesOf("l5d-client-id"), [DB]);
  });

  test("invariant 25: why something failed is told to meshed peers alone", async () => {
    for (const id of [undefined, DB]) {
      const told: string[] = [];
      const look = async (lab: HttpLab): Promise<void> => {
        const { got } = await exchange(lab.connect(id), `${GET}\r\n`);
        told.push(...[...got.matchAll(/^(l5d-[\w-]+|grpc-message):/gm)].map(([, name = ""]) => name));
        for (const type of ["text/plain", "application/grpc"]) {
          const session = lab.http2(id);
          const { headers } = await ask(session, { "content-type": type, ":method": "POST" }, { text: "" });
          session.destroy();
          told.push(...Object.keys(headers).filter((name) => /^(?:l5d-|grpc-message)/.test(name)));
        }
      };
      await under(NOBODY, [http1], () => look(http1));
      await under({ ...OPEN, protocol: { kind: "http1", routes: [], rateLimit: undefined } }, [http1], () =>
        id === undefined
          ? exchange(http1.connect(id), `${GET}\r\n`).then(
              ({ got }) => void told.push(...(/l5d-/.exec(got) ?? [])),
            )
          : look(http1),
      );
      await look(down);
      const names = new Set(told);
      assert.deepEqual(
        [...names].sort(),
        id === undefined ? [] : ["grpc-message", "l5d-proxy-connection", "l5d-proxy-error"],
      );
    }
  });

  test("invariant 25: a denial says who was denied what, to the client that asks", async () => {
    const socket = http1.meshed(DB);
    const { got } = await under(NOBODY, [http1], () => exchange(socket, `${GET}\r\n`));
    const from = `127\\.0\\.0\\.1:${socket.localPort ?? 0}`;
    assert.match(
      got,
      new RegExp(
        `l5d-proxy-error: client ${from}: server: 127\\.0\\.0\\.1:${app.port}: unauthorized request on route\r\n`,
      ),
    );
  });

  test("ranked 8: a denied request is 403 over HTTP/1 and HTTP/2, status 7 to gRPC, and its connection stays", async () => {
    for (const id of [undefined, DB]) {
      await under(NOBODY, [http1, http2], async () => {
        for (const version of ["1.1", "1.0"]) {
          const keep = version === "1.0" ? "Connection: keep-alive\r\n" : "";
          const one = `GET /a HTTP/${version}\r\nHost: h.test\r\n${keep}\r\n`;
          const { got, statuses } = await exchange(http1.connect(id), one + one, 2);
          assert.deepEqual(statuses, [403, 403]);
          assert.match(got, /\r\ncontent-length: 0\r\n/);
          assert.match(got, /\r\ndate: [^\r]+ GMT\r\n/);
          assert.doesNotMatch(got, /connection: close/);
        }
        const session = http2.http2(id);
        for (let i = 0; i < 2; i++) {
          const plain = await ask(session, {});
          assert.deepEqual([plain.status, plain.headers["content-length"]], [403, "0"]);
          assert.match(String(plain.headers["date"]), / GMT$/);
          const grpc = await ask(
            session,
            { ":method": "POST", "content-type": "application/grpc+proto" },
            { text: "x" },
          );
          assert.equal(grpc.status, 200);
          assert.equal(grpc.headers["grpc-status"], "7");
          assert.equal(grpc.headers["content-type"], "application/grpc");
          assert.equal(grpc.headers["content-length"], "0");
        }
        assert.equal(session.closed, false);
        session.destroy();
      });
    }
    // gRPC that is carried for an HTTP/1 client is still HTTP/2 where the answer is made.
    const session = http1.http2(DB);
    const carried = await under(NOBODY, [http1], () =>
      ask(
        session,
        { ":method": "POST", "l5d-orig-proto": "HTTP/1.1", "content-type": "application/grpc" },
        { text: "" },
      ),
    );
    session.destroy();
    assert.deepEqual([carried.status, carried.headers["grpc-status"]], [200, "7"]);
  });

  test("ranked 8: bytes that are not HTTP are closed without an answer", async () => {
    for (const id of [undefined, DB]) {
      app.forget();
      const socket = http1.connect(id);
      const { got, ended } = await under(NOBODY, [http1], () =>
        exchange(socket, "\x16\x03 this is no request at all\r\n"),
      );
      assert.deepEqual([got, ended], ["", true]);
      assert.equal(app.connections.length, 0);
    }
  });

  test("invariant 26: ranked 9: the host that decides is the one that the application sees", async () => {
    const hostOf = async (request: string): Promise<readonly [number | undefined, string[]]> => {
      app.forget();
      const { statuses } = await exchange(http1.unmeshed(), request);
      return [statuses[0], valuesOf("host")];
    };
    assert.deepEqual(await hostOf("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), [400, []]);
    assert.deepEqual(await hostOf("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), [400, []]);
    assert.deepEqual(await hostOf("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), [400, []]);
    assert.deepEqual(await hostOf("GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"), [200, ["a.test"]]);
    // Carried over HTTP/2.
    for (const form of ["HTTP/1.1", "HTTP/1.1; absolute-form", "HTTP/1.0"]) {
      app.forget();
      const session = http1.http2(DB);
      await ask(session, { ":authority": "a.test", host: "b.test", "l5d-orig-proto": form });
      session.destroy();
      assert.deepEqual(valuesOf("host"), ["a.test"], form);
    }
    // HTTP/2 all the way.
    for (const [asked, seen] of [
      [{ ":authority": "a.test", host: "b.test" }, ["a.test", "a.test"]],
      [{ ":authority": "a.test" }, ["a.test", undefined]],
      [{ host: "b.test" }, ["b.test", "b.test"]],
    ] as const) {
      app2.seen.length = 0;
      const session = http2.http2(undefined);
      await ask(session, asked);
      session.destroy();
      assert.deepEqual([app2.seen[0]?.[":authority"], app2.seen[0]?.["host"]], seen);
    }
  });

  test("invariant 26: no request for a host that is closed gets by a route that is open to any", async () => {
    const policy = closedHost("admin.test");
    await under(policy, [http1, http2], async () => {
      for (const request of [
        "GET / HTTP/1.1\r\nHost: admin.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ADMIN.test:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: admin.test.\r\n\r\n",
        "GET http://admin.test/ HTTP/1.1\r\nHost: open.test\r\n\r\n",
      ]) {
        const { statuses } = await exchange(http1.unmeshed(), request);
        assert.deepEqual(statuses, [403], request);
      }
      for (const headers of [
        { ":authority": "admin.test" },
        { ":authority": "admin.test", host: "open.test" },
        { host: "admin.test" },
      ] as const) {
        for (const lab of [http1, http2]) {
          const session = lab.http2(DB);
          const carried = lab === http1 ? { "l5d-orig-proto": "HTTP/1.1" } : {};
          assert.equal((await ask(session, { ...headers, ...carried })).status, 403);
          session.destroy();
        }
      }
      // What the application can be made to see of the closed host, from a request for an open one.
      app.forget();
      app2.seen.length = 0;
      for (const lab of [http1, http2]) {
        const session = lab.http2(DB);
        const carried = lab === http1 ? { "l5d-orig-proto": "HTTP/1.1" } : {};
        assert.equal(
          (await ask(session, { ":authority": "open.test", host: "admin.test", ...carried })).status,
          200,
        );
        session.destroy();
      }
      await exchange(http1.unmeshed(), "GET http://open.test/ HTTP/1.1\r\nHost: admin.test\r\n\r\n");
      assert.doesNotMatch(app.received + JSON.stringify(app2.seen), /admin\.test/);
    });
  });

  test("invariant 26: the switch restores what the model does", async () => {
    const lax = await HttpLab.start(ca, app.port, { anyHost: true });
    try {
      app.forget();
      const { statuses } = await exchange(lax.unmeshed(), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
      assert.deepEqual(statuses, [200]);
      assert.deepEqual(valuesOf("host"), ["a", "b"]);
    } finally {
      lax.close();
    }
  });

  test("invariant 29: an upgrade to h2c is not forwarded, whatever stands beside it", async () => {
    const settings = "HTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    for (const upgrade of ["h2c", "H2C", "h2c, websocket", "websocket, h2c", "websocket,H2c"]) {
      app.forget();
      app.answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
      const { statuses } = await exchange(
        http1.unmeshed(),
        `${GET}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${upgrade}\r\n${settings}\r\n`,
      );
      assert.deepEqual(statuses, [200]);
      assert.doesNotMatch(app.received, /upgrade|http2-settings|connection/i, upgrade);
    }
    // An application that answers 101 all the same opens no tunnel.
    app.forget();
    const before = app.answer;
    app.answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
    try {
      const { statuses } = await exchange(
        http1.unmeshed(),
        `${GET}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
      );
      assert.deepEqual(statuses, [502]);
    } finally {
      app.answer = before;
    }
  });

  test("invariant 30: connections to the application are not shared by clients of different identity", async () => {
    app.forget();
    const ids = [DB, WEB, undefined];
    const clients = ids.map((id) => ({ id: id ?? "nobody", socket: http1.connect(id) }));
    const ports = new Map<string, Set<number>>();
    for (let round = 0; round < 4; round++) {
      for (const { id, socket } of clients) {
        const before = app.connections.map(({ received }) => received.length);
        await exchange(socket, `${GET}\r\n`);
        socket.removeAllListeners("data");
        const used = app.connections.filter(({ received }, i) => received.length > (before[i] ?? 0));
        assert.equal(used.length, 1);
        const seen = ports.get(id) ?? new Set();
        for (const { remotePort } of used) seen.add(remotePort);
        ports.set(id, seen);
      }
    }
    const all = [...ports.values()].flatMap((set) => [...set]);
    assert.equal(new Set(all).size, all.length, "no port served two clients");
    assert.equal(ports.get(DB)?.size, 1, "and each client found its own again");
  });

  test("invariant 30: nor can a client choose a name that reads as somebody else's", async () => {
    app.forget();
    const victim = http1.meshed(DB);
    await exchange(victim, `${GET}\r\n`);
    const [own] = app.connections;
    for (const canonical of [`h.test id ${DB}`, `id ${DB}`, DB]) {
      await exchange(http1.unmeshed(), `${GET}L5d-Dst-Canonical: ${canonical}\r\n\r\n`);
    }
    assert.equal(own?.received.match(/^GET /gm)?.length, 1);
  });

  test("invariant 35: denied requests cost neither the application nor a rate limit anything", async () => {
    const limit = { meta: metaDefault("limit"), totalRps: 2, identityRps: undefined, overrides: [] };
    const limited = (policy: ServerPolicy): ServerPolicy =>
      policy.protocol.kind === "detect"
        ? { ...policy, protocol: { ...policy.protocol, rateLimit: limit } }
        : policy;
    const before = await http1.page();
    app.forget();
    await under(limited(MESHED_ONLY), [http1], async () => {
      const { statuses } = await exchange(http1.unmeshed(), `${GET}\r\n`.repeat(20), 20);
      assert.deepEqual(new Set(statuses), new Set([403]));
      assert.equal(app.connections.length, 0);
      // The limit is still untouched: two pass at once, and the third does not.
      const meshed = await exchange(http1.meshed(DB), `${GET}\r\n`.repeat(3), 3);
      assert.deepEqual(meshed.statuses, [200, 200, 429]);
      assert.equal(app.received.match(/^GET /gm)?.length, 2);
    });
    const now = await http1.page();
    const grown = (name: string): number => sum(now, name) - sum(before, name);
    assert.equal(grown("inbound_http_authz_deny_total"), 20);
    assert.equal(grown("inbound_http_authz_allow_total"), 3);
    assert.equal(grown("inbound_http_local_ratelimit_total"), 1);
    assert.equal(grown("request_total"), 2);
    assert.equal(grown("inbound_http_requests_total"), 2);
  });

  test("inbound 6.9: every l5d header of a client outside of the mesh can be switched off", async () => {
    const headers = ["L5d-Dst-Override: a:1", "l5d-require-id: x", "l5d-retry-limit: 3", "l5d-timeout: 1s"];
    const request = `${GET}${headers.join("\r\n")}\r\nX-Own: 1\r\n\r\n`;
    const strict = await HttpLab.start(ca, app.port, { stripsL5dHeaders: true });
    try {
      for (const [lab, id, kept] of [
        [http1, undefined, 4],
        [strict, undefined, 0],
        [strict, DB, 5],
      ] as const) {
        app.forget();
        await exchange(lab.connect(id), request);
        assert.equal(app.received.match(/^l5d-/gm)?.length ?? 0, kept);
        assert.match(app.received, /^x-own: 1/m);
      }
    } finally {
      strict.close();
    }
  });

  test("inbound 7.1: beyond the requests that may be in flight there is 503, before any policy, and the connection closes", async () => {
    const narrow = await HttpLab.start(ca, app.port, { maxInFlight: 1 });
    const answer = app.answer;
    app.answer = "";
    app.forget();
    try {
      const held = narrow.unmeshed();
      held.write(`${GET}\r\n`);
      await until("one is in flight", () => app.received.includes("\r\n\r\n"));
      const shed = await exchange(narrow.unmeshed(), `${GET}\r\n`);
      assert.deepEqual([shed.statuses, shed.ended], [[503], true]);
      const session = narrow.http2(undefined);
      const grpc = await ask(
        session,
        { ":method": "POST", "content-type": "application/grpc" },
        { text: "" },
      );
      assert.deepEqual([grpc.status, grpc.headers["grpc-status"]], [200, "14"]);
      if (!session.closed) await once(session, "close");
      const page = await narrow.page();
      assert.equal(sum(page, "inbound_http_authz_allow_total"), 1);
      assert.equal(sum(page, "inbound_http_errors_total", { error: "loadshed" }), 2);
      held.destroy();
      app.answer = answer;
      await until(
        "there is room",
        async () => (await exchange(narrow.unmeshed(), `${GET}\r\n`)).statuses[0] === 200,
      );
    } finally {
      app.answer = answer;
      narrow.close();
    }
  });

  test("config-admin-metrics 7.2: the name that a request asks for labels metrics only where that is wanted", async () => {
    const labelled = await HttpLab.start(ca, app.port, { authorityLabels: true });
    try {
      for (const fields of [
        "Host: a.test:80",
        "Host: b.test:81",
        "Host: 192.0.2.1",
        "Host: x\r\nL5d-Dst-Canonical: c.test:80",
      ]) {
        await exchange(labelled.unmeshed(), `GET / HTTP/1.1\r\n${fields}\r\n\r\n`);
      }
      const authorities = async (lab: HttpLab): Promise<(string | undefined)[]> =>
        (await lab.page()).samples
          .filter(({ name }) => name === "request_total")
          .map(({ labels }) => labels.get("authority"));
      assert.deepEqual(
        new Set(await authorities(labelled)),
        new Set(["a.test", "b.test:81", "c.test", undefined]),
      );
      assert.ok((await authorities(http1)).every((authority) => authority === undefined));
    } finally {
      labelled.close();
    }
  });
});

/** One host for which nobody is authorized, beside a route that is open to everybody. */
function closedHost(host: string): ServerPolicy {
  if (OPEN.protocol.kind !== "detect") throw new Error("the default policy detects");
  const [route] = OPEN.protocol.routes;
  if (route === undefined) throw new Error("the default policy has a route");
  const nobody: readonly Authorization[] = [];
  const closed: HttpServerRoute = {
    ...route,
    meta: metaDefault("closed"),
    hosts: [{ kind: "exact", host }],
    authorizations: nobody,
  };
  return { ...OPEN, protocol: { ...OPEN.protocol, routes: [closed, route] } };
}
