import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import type { SocketAddr } from "../../src/addr/socket-addr.ts";
import { TRANSPORT_HEADER_ALPN } from "../../src/wire/transport-header.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";
import { OPENSSL_MISSING, OpensslPeer, ScratchDir } from "../support/openssl.ts";
import {
  certifiedStore,
  DB,
  id,
  originatorOf,
  Reader,
  say,
  target,
  TerminatingListener,
  unwrap,
  WEB,
} from "./mesh-peer.ts";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";

const skip = OPENSSL_MISSING;

function sClient(addr: SocketAddr, ...more: string[]): OpensslPeer {
  const connect = `${addr.ip.text}:${addr.port}`;
  return new OpensslPeer(["s_client", "-connect", connect, "-servername", DB, ...more]);
}

describe("an OpenSSL client of ours", { skip }, () => {
  it("verifies our chain, presents its certificate and is known by it", async () => {
    const ca = TestCa.create();
    using files = new ScratchDir();
    const leaf = ca.issue({ id: WEB });
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    await using client = sClient(
      listener.addr,
      ...["-CAfile", files.write("ca.pem", ca.certPem), "-verify_return_error", "-verify_hostname", DB],
      ...["-cert", files.write("leaf.pem", leaf.leafPem), "-key", files.write("key.pem", leaf.keyPem)],
    );
    const server = await listener.next();
    assert.deepEqual(server.clientId, id(WEB));
    const reader = new Reader(server.transport);
    client.write("ping\n");
    await reader.waitFor("ping");
    say(server.transport, "pong\n");
    await client.waitFor(/pong/);
    assert.match(client.output, /New, TLSv1\.3, Cipher is TLS_AES_128_GCM_SHA256|TLSv1\.3/);
    assert.match(client.output, /Verification: OK/);
    assert.match(client.output, /Acceptable client certificate CA names[\s\S]*root\.linkerd/);
  });

  it("is let in without an id if it has no certificate", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    await using client = sClient(listener.addr);
    assert.equal((await listener.next()).clientId, undefined);
    await client.waitFor(/No ALPN negotiated/);
  });

  it("invariant 7: is refused with protocol_version if it speaks TLS 1.2 only", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    await using client = sClient(listener.addr, "-tls1_2");
    await assert.rejects(listener.next(), /unsupported protocol/);
    await client.waitFor(/alert protocol version/);
  });

  it("is refused with no_application_protocol if it offers foreign ALPN on the direct path", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca), "direct");
    await using client = sClient(listener.addr, "-alpn", "h2,http/1.1");
    await assert.rejects(listener.next(), ProxyError);
    await client.waitFor(/alert no application protocol/);
  });

  it("completes the handshake on the direct path without ALPN, which is then not negotiated", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca), "direct");
    await using client = sClient(listener.addr);
    assert.equal((await listener.next()).alpn, undefined);
    await client.waitFor(/No ALPN negotiated/);
  });

  it("negotiates the transport header among other offers", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca), "direct");
    await using client = sClient(listener.addr, "-alpn", `h2,${TRANSPORT_HEADER_ALPN}`);
    assert.equal((await listener.next()).alpn, TRANSPORT_HEADER_ALPN);
    await client.waitFor(/ALPN protocol: transport\.l5d\.io\/v1/);
  });

  it("ranked 12: can use each of the three suites and no other group than ours", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    for (const suite of [
      "TLS_AES_128_GCM_SHA256",
      "TLS_AES_256_GCM_SHA384",
      "TLS_CHACHA20_POLY1305_SHA256",
    ]) {
      await using client = sClient(listener.addr, "-ciphersuites", suite);
      assert.equal((await listener.next()).cipher, suite);
      await client.waitFor(/No ALPN negotiated/);
    }
    for (const group of ["X25519", "P-256", "P-384"]) {
      await using client = sClient(listener.addr, "-groups", group);
      assert.equal((await listener.next()).version, "TLSv1.3");
      await client.waitFor(/No ALPN negotiated/);
    }
    await using client = sClient(listener.addr, "-groups", "P-521");
    await assert.rejects(listener.next(), ProxyError);
    await client.waitFor(/handshake failure/);
  });

  it("invariant 12, ranked 12: never resumes a session, not even one in which it was authenticated", async () => {
    const ca = TestCa.create();
    using files = new ScratchDir();
    const leaf = ca.issue({ id: WEB });
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const session = join(files.path, "session.pem");
    {
      await using client = sClient(
        listener.addr,
        ...["-cert", files.write("leaf.pem", leaf.leafPem), "-key", files.write("key.pem", leaf.keyPem)],
        ...["-sess_out", session],
      );
      const first = await listener.next();
      assert.deepEqual(first.clientId, id(WEB));
      const reader = new Reader(first.transport);
      say(first.transport, "hello\n");
      await client.waitFor(/hello/);
      assert.equal(reader.isClosed, false);
    }
    assert.ok(existsSync(session), "the server sent no ticket to try");
    await using client = sClient(listener.addr, "-sess_in", session);
    const second = await listener.next();
    assert.equal(second.clientId, undefined);
    await client.waitFor(/New, TLSv1\.3/);
    assert.doesNotMatch(client.output, /Reused, TLSv1\.3/);
  });

  it("gets no identity of ours if it cannot verify P-256 signatures", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    await using client = sClient(listener.addr, "-sigalgs", "rsa_pss_rsae_sha256");
    await assert.rejects(listener.next(), ProxyError);
    await client.ended();
  });
});

describe("an OpenSSL server for us", { skip }, () => {
  async function serve(
    leaf: TestLeaf,
    files: ScratchDir,
    ...more: string[]
  ): Promise<[OpensslPeer, SocketAddr]> {
    const server = new OpensslPeer([
      ...["s_server", "-accept", "127.0.0.1:0"],
      ...["-cert", files.write("s.pem", leaf.leafPem), "-key", files.write("s.key", leaf.keyPem)],
      ...["-cert_chain", files.write("chain.pem", leaf.chainPem)],
      ...more,
    ]);
    const [, port] = await server.waitFor(/ACCEPT 127\.0\.0\.1:(\d+)/);
    return [server, unwrap(parseSocketAddr(`127.0.0.1:${port}`))];
  }

  it("is reached if it demands a client certificate, and reads what we write", async () => {
    const ca = TestCa.create();
    using files = new ScratchDir();
    const caFile = files.write("ca.pem", ca.certPem);
    const [server, addr] = await serve(
      ca.issue({ id: DB }),
      files,
      "-CAfile",
      caFile,
      "-Verify",
      "2",
      "-verify_return_error",
    );
    await using _ = server;
    const { transport } = await originatorOf(certifiedStore(ca, WEB)).originate(target(addr));
    const reader = new Reader(transport);
    say(transport, "ping\n");
    await server.waitFor(/ping/);
    assert.match(server.output, /X509v3|subject=|verify return/);
    transport.end();
    server.write("Q\n");
    await reader.closed();
  });

  it("is refused if it belongs to somebody else", async () => {
    const ca = TestCa.create();
    using files = new ScratchDir();
    const [server, addr] = await serve(ca.issue({ id: DB }), files, "-naccept", "1");
    await using _ = server;
    await assert.rejects(
      originatorOf(certifiedStore(ca, WEB)).originate(target(addr, { serverId: id(WEB) })),
      (error: unknown) => error instanceof ProxyError && error.code === "tls_identity",
    );
    await server.ended();
  });

  it("is refused if it speaks TLS 1.2 only", async () => {
    const ca = TestCa.create();
    using files = new ScratchDir();
    const [server, addr] = await serve(ca.issue({ id: DB }), files, "-tls1_2", "-naccept", "1");
    await using _ = server;
    await assert.rejects(
      originatorOf(certifiedStore(ca, WEB)).originate(target(addr)),
      (error: unknown) =>
        error instanceof ProxyError &&
        error.code === "io" &&
        /protocol version|handshake/.test(error.message),
    );
    await server.ended();
  });

  it("is refused if its key is RSA", async () => {
    const ca = TestCa.create();
    using files = new ScratchDir();
    const [server, addr] = await serve(ca.issue({ id: DB, keyType: "rsa" }), files, "-naccept", "1");
    await using _ = server;
    await assert.rejects(
      originatorOf(certifiedStore(ca, WEB)).originate(target(addr)),
      (error: unknown) => error instanceof ProxyError && error.code === "io",
    );
    await server.ended();
  });

  it("is reached with P-384 and Ed25519 keys", async () => {
    const ca = TestCa.create();
    for (const keyType of ["P-384", "ed25519"] as const) {
      using files = new ScratchDir();
      const [server, addr] = await serve(ca.issue({ id: DB, keyType }), files);
      await using _ = server;
      const { transport } = await originatorOf(certifiedStore(ca, WEB)).originate(target(addr));
      transport.destroy();
    }
  });
});
