import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, createSecureContext, createServer, type TLSSocket } from "node:tls";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { ProxyError, type ErrorCode } from "../../src/errors/proxy-error.ts";
import { OID_CLIENT_AUTH, OID_SERVER_AUTH } from "../../src/identity/oids.ts";
import { TRANSPORT_HEADER_ALPN } from "../../src/wire/transport-header.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";
import {
  certifiedStore,
  certify,
  DB,
  id,
  newStore,
  originatorOf,
  Reader,
  say,
  target,
  TerminatingListener,
  unwrap,
  WEB,
} from "./mesh-peer.ts";

const HOUR_MS = 3_600_000;

function failsWith(code: ErrorCode, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProxyError, String(error));
    assert.match(error.message, pattern);
    assert.equal(error.code, code);
    return true;
  };
}

describe("a handshake between two proxies", () => {
  it("establishes TLS 1.3 with the hybrid group, both identities and no ALPN", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const [client, server] = await Promise.all([
      originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.deepEqual(server.clientId, id(WEB));
    assert.deepEqual(
      [server.version, server.cipher, server.alpn],
      ["TLSv1.3", "TLS_AES_128_GCM_SHA256", undefined],
    );
    assert.deepEqual(
      [client.version, client.cipher, client.alpn, client.group],
      ["TLSv1.3", "TLS_AES_128_GCM_SHA256", undefined, "X25519MLKEM768"],
    );
    const atServer = new Reader(server.transport);
    const atClient = new Reader(client.transport);
    say(client.transport, "ping");
    await atServer.waitFor("ping");
    say(server.transport, "pong");
    await atClient.waitFor("pong");
    client.transport.end();
    await Promise.all([atServer.closed(), atClient.closed()]);
  });

  it("works through an intermediate authority", async () => {
    const root = TestCa.create();
    const issuer = root.intermediate({ maxIssuersBelow: 0 });
    const db = newStore(root);
    certify(db, issuer.issue({ id: DB }));
    const web = newStore(root, WEB);
    certify(web, issuer.issue({ id: WEB }));
    await using listener = await TerminatingListener.open(db);
    const [client, server] = await Promise.all([
      originatorOf(web).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.deepEqual(server.clientId, id(WEB));
    client.transport.destroy();
  });

  it("trusts an issuer that is listed without its root", async () => {
    const issuer = TestCa.create().intermediate();
    await using listener = await TerminatingListener.open(certifiedStore(issuer));
    const [client, server] = await Promise.all([
      originatorOf(certifiedStore(issuer, WEB)).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.deepEqual(server.clientId, id(WEB));
    client.transport.destroy();
  });

  it("inbound 2.4: trusts an anchor whose own dates are over, as the model does", async () => {
    const root = TestCa.create({ notAfterMs: Date.now() - HOUR_MS });
    const issuer = root.intermediate();
    const [db, web] = [newStore(root), newStore(root, WEB)];
    certify(db, issuer.issue({ id: DB }));
    certify(web, issuer.issue({ id: WEB }));
    await using listener = await TerminatingListener.open(db);
    const [client, server] = await Promise.all([
      originatorOf(web).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.deepEqual(server.clientId, id(WEB));
    client.transport.destroy();
  });

  it("lets a client without certificate in without an id", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const [client, server] = await Promise.all([
      originatorOf(newStore(ca, WEB)).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.equal(server.clientId, undefined);
    client.transport.destroy();
  });

  it("negotiates the transport header on the direct path", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca), "direct");
    const [client, server] = await Promise.all([
      originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr, { alpn: TRANSPORT_HEADER_ALPN })),
      listener.next(),
    ]);
    assert.equal(client.alpn, TRANSPORT_HEADER_ALPN);
    assert.equal(server.alpn, TRANSPORT_HEADER_ALPN);
    client.transport.destroy();
  });

  it("negotiates nothing on an ordinary path, whatever the client offers", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const [client, server] = await Promise.all([
      originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr, { alpn: TRANSPORT_HEADER_ALPN })),
      listener.next(),
    ]);
    assert.equal(client.alpn, undefined);
    assert.equal(server.alpn, undefined);
    client.transport.destroy();
  });

  it("identifies peers by URI", async () => {
    const ca = TestCa.create();
    const spiffe = "spiffe://root.linkerd.cluster.local/external-workload";
    const store = newStore(ca, WEB);
    certify(
      store,
      ca.issue({
        names: [
          { kind: "uri", text: spiffe },
          { kind: "dns", text: WEB },
        ],
      }),
    );
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const [originated, server] = await Promise.all([
      originatorOf(store).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.deepEqual(server.clientId, { kind: "uri", text: spiffe });
    originated.transport.destroy();
  });
});

/** A client that does not check the server, so that the server's verdict alone counts. */
function presenting(leaf: TestLeaf, ca: TestCa, port: number): TLSSocket {
  const secureContext = createSecureContext({ ca: ca.certPem, cert: leaf.chainPem, key: leaf.keyPem });
  const socket = connect({ host: "127.0.0.1", port, servername: DB, secureContext });
  socket.on("error", () => {});
  return socket;
}

describe("the terminating side", () => {
  /** The certificate that the client presents, against the trust of both sides. */
  async function refusal(makeLeaf: (ca: TestCa) => TestLeaf): Promise<unknown> {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const leaf = makeLeaf(ca);
    const socket = presenting(leaf, ca, listener.addr.port);
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    const closed = new Promise((resolve) => socket.on("close", resolve));
    const outcome = await listener.next().then(
      () => undefined,
      (error: unknown) => error,
    );
    await closed;
    assert.equal(received, "");
    return outcome;
  }

  const cases: readonly [string, (ca: TestCa) => TestLeaf, RegExp][] = [
    [
      "of another authority",
      () => TestCa.create().issue({ id: WEB }),
      /client certificate refused: certificate does not chain to the trust anchors \(it claims to be web\./,
    ],
    ["that expired", (ca) => ca.issue({ id: WEB, notAfterMs: Date.now() - 1000 }), /certificate expired at/],
    [
      "that is not yet valid",
      (ca) => ca.issue({ id: WEB, notBeforeMs: Date.now() + HOUR_MS, notAfterMs: Date.now() + 2 * HOUR_MS }),
      /certificate is not valid before/,
    ],
    ["of an authority", (ca) => ca.issue({ id: WEB, authority: true }), /belongs to an authority/],
    [
      "for servers only",
      (ca) => ca.issue({ id: WEB, extKeyUsage: [OID_SERVER_AUTH] }),
      /client certificate refused/,
    ],
    [
      "whose intermediate is missing",
      (ca) => {
        const leaf = ca.intermediate().issue({ id: WEB });
        return { ...leaf, chainPem: leaf.leafPem };
      },
      /client certificate refused: \w+/,
    ],
  ];
  for (const [what, makeLeaf, pattern] of cases) {
    it(`invariant 8: closes on a client certificate ${what}`, async () => {
      const error = await refusal(makeLeaf);
      assert.ok(error instanceof ProxyError, String(error));
      assert.equal(error.code, "io");
      assert.match(error.message, pattern);
    });
  }

  it("does not know a client by an RSA certificate", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const leaf = ca.issue({ id: WEB, keyType: "rsa" });
    const socket = presenting(leaf, ca, listener.addr.port);
    const clientId = await listener.next().then(
      (terminated) => terminated.clientId,
      () => undefined,
    );
    assert.equal(clientId, undefined);
    socket.destroy();
  });

  it("invariant 11: takes the first usable name for the client's id", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const store = newStore(ca, WEB);
    const names = [
      { kind: "email", text: "admin@example.com" },
      { kind: "dns", text: "victim.example." },
      { kind: "dns", text: `x\n${DB}` },
      { kind: "dns", text: "*.shop.example" },
      { kind: "dns", text: WEB },
    ] as const;
    certify(store, ca.issue({ names }));
    const [client, server] = await Promise.all([
      originatorOf(store).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.deepEqual(server.clientId, id(WEB));
    client.transport.destroy();
  });

  it("knows nobody by a certificate without names or with an e-mail address only", async () => {
    const ca = TestCa.create();
    for (const names of [[], [{ kind: "email", text: WEB }]] as const) {
      await using listener = await TerminatingListener.open(certifiedStore(ca));
      const leaf = ca.issue({ names, commonName: WEB });
      const socket = presenting(leaf, ca, listener.addr.port);
      assert.equal((await listener.next()).clientId, undefined);
      socket.destroy();
    }
  });

  it("closes while no certificate has been issued to it", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(newStore(ca));
    const [client, server] = await Promise.allSettled([
      originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr)),
      listener.next(),
    ]);
    assert.equal(client.status, "rejected");
    assert.equal(server.status, "rejected");
    assert.match(String(server.reason), /no certificate has been issued/);
  });
});

describe("the originating side", () => {
  it("refuses a server of another identity before anything can be written", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const [client, server] = await Promise.allSettled([
      originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr, { serverId: id(WEB) })),
      listener.next(),
    ]);
    assert.ok(client.status === "rejected");
    failsWith(
      "tls_identity",
      /certificate does not match TLS identity: expected web\.\S+, presented db\./,
    )(client.reason);
    if (server.status === "fulfilled") {
      const reader = new Reader(server.value.transport);
      await reader.closed();
      assert.equal(reader.text, "");
    }
  });

  it("invariant 10: accepts a server that has the expected name among several", async () => {
    const ca = TestCa.create();
    const store = newStore(ca);
    certify(
      store,
      ca.issue({
        names: [
          { kind: "dns", text: WEB },
          { kind: "dns", text: DB },
        ],
      }),
    );
    await using listener = await TerminatingListener.open(store);
    const { transport } = await originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr));
    transport.destroy();
  });

  it("asks for the server name, which need not be the identity", async () => {
    const ca = TestCa.create();
    const spiffe = "spiffe://root.linkerd.cluster.local/db";
    const store = newStore(ca, spiffe.replace("spiffe://", "").replace("/", "."));
    certify(
      store,
      ca.issue({
        names: [
          { kind: "uri", text: spiffe },
          { kind: "dns", text: "root.linkerd.cluster.local.db" },
        ],
      }),
    );
    await using listener = await TerminatingListener.open(store);
    const serverName = unwrap(parseDnsName("db.example"));
    const { transport } = await originatorOf(certifiedStore(ca, WEB)).originate(
      target(listener.addr, { serverId: id(spiffe), serverName }),
    );
    transport.destroy();
  });

  const refused: readonly [string, (ca: TestCa) => TestLeaf, RegExp, ErrorCode][] = [
    [
      "of another authority",
      () => TestCa.create().issue({ id: DB }),
      /server certificate refused: certificate does not chain to the trust anchors/,
      "io",
    ],
    [
      "that expired",
      (ca) => ca.issue({ id: DB, notAfterMs: Date.now() - 1000 }),
      /server certificate refused: certificate expired at/,
      "io",
    ],
    [
      "that is not yet valid",
      (ca) => ca.issue({ id: DB, notBeforeMs: Date.now() + HOUR_MS, notAfterMs: Date.now() + 2 * HOUR_MS }),
      /certificate is not valid before/,
      "io",
    ],
    ["of an authority", (ca) => ca.issue({ id: DB, authority: true }), /belongs to an authority/, "io"],
    ["for clients only", (ca) => ca.issue({ id: DB, extKeyUsage: [OID_CLIENT_AUTH] }), /./, "io"],
    [
      "with a wildcard",
      (ca) => ca.issue({ names: [{ kind: "dns", text: `*${DB.slice(2)}` }] }),
      /presented none/,
      "tls_identity",
    ],
    [
      "with the name in its subject only",
      (ca) => ca.issue({ commonName: DB.slice(0, 64) }),
      /presented none/,
      "tls_identity",
    ],
    [
      "that ends in a dot",
      (ca) => ca.issue({ names: [{ kind: "dns", text: `${DB}.` }] }),
      /presented none/,
      "tls_identity",
    ],
    [
      "that hides the name behind a comma",
      (ca) => ca.issue({ names: [{ kind: "dns", text: `evil.example, DNS:${DB}` }] }),
      /presented none/,
      "tls_identity",
    ],
    [
      "that hides the name in a quoted URI",
      (ca) => ca.issue({ names: [{ kind: "uri", text: `http://evil.example/", DNS:${DB}` }] }),
      /presented none/,
      "tls_identity",
    ],
  ];
  for (const [what, makeLeaf, pattern, code] of refused) {
    it(`invariant 10, ranked 3: refuses a server certificate ${what}`, async () => {
      const ca = TestCa.create();
      const leaf = makeLeaf(ca);
      let received = 0;
      const server = createServer(
        { cert: leaf.chainPem, key: leaf.keyPem, minVersion: "TLSv1.3" },
        (socket) => {
          socket.on("data", (chunk: Buffer) => (received += chunk.length));
          socket.on("error", () => {});
        },
      );
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const addr = {
        ip: { version: 4, text: "127.0.0.1", bytes: Uint8Array.of(127, 0, 0, 1) },
        port: address.port,
      } as const;
      await assert.rejects(
        originatorOf(certifiedStore(ca, WEB)).originate(target(addr)),
        failsWith(code, pattern),
      );
      await new Promise((resolve) => server.close(resolve));
      assert.equal(received, 0);
    });
  }
});
