import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { credentials, status } from "@grpc/grpc-js";
import { tcpAddress } from "../../src/control-plane/index/messages.ts";
import { ManifestError } from "../../src/control-plane/resources/folder-watcher.ts";
import { generateKeyAndCsr } from "../../src/identity/key.ts";
import { Destination } from "../../src/proto/gen/destination_pb.js";
import { Identity } from "../../src/proto/gen/identity_pb.js";
import { InboundServerPolicies } from "../../src/proto/gen/inbound_pb.js";
import { OutboundPolicies } from "../../src/proto/gen/outbound_pb.js";
import { codeOf, TestClient } from "./grpc-client.ts";
import { ipOf, start } from "./running.ts";
import { WEB, WEB_ID, workload, workloadString } from "./support.ts";

const WEB_PATH = { path: "web.shop.svc.cluster.local:80" };

const SECOND = workload("web-2", "192.168.1.11", ["http=8080", "linkerd-proxy=14143"]);

function portsOf(update: { update: { case?: string | undefined; value?: unknown } }): string {
  return `${update.update.case}`;
}

test("streams additions, changes and removals of endpoints while files change", async (t) => {
  const { client, put, dir } = await start(t, WEB);
  const stream = client.stream(Destination.method.get, WEB_PATH);
  const initial = await stream.next();
  assert.ok(initial.update.case === "add");
  assert.equal(initial.update.value.addrs.length, 1);
  assert.deepEqual(initial.update.value.metricLabels, { service: "web", namespace: "shop" });

  await put("second.yaml", SECOND);
  const added = await stream.next();
  assert.ok(added.update.case === "add");
  assert.deepEqual(
    added.update.value.addrs.map((a) => a.metricLabels["external_workload"]),
    ["web-2"],
  );

  await put("second.yaml", SECOND.replace("14143", "14144"));
  const changed = await stream.next();
  assert.ok(changed.update.case === "add");
  assert.equal(changed.update.value.addrs[0]?.protocolHint?.opaqueTransport?.inboundPort, 14144);

  await rm(join(dir, "second.yaml"));
  const removed = await stream.next();
  assert.equal(portsOf(removed), "remove");
  assert.ok(removed.update.case === "remove");
  assert.deepEqual(removed.update.value.addrs[0]?.ip?.ip, { case: "ipv4", value: 0xc0a8010b });
});

test("empties and refills the stream of a service that is deleted and comes back", async (t) => {
  const { client, put } = await start(t, WEB);
  const stream = client.stream(Destination.method.get, WEB_PATH);
  await stream.next();
  await put("mesh.yaml", "");
  assert.equal((await stream.next()).update.case, "remove");
  assert.equal(await client.stream(Destination.method.get, WEB_PATH).status(), status.NOT_FOUND);
  await put("mesh.yaml", WEB);
  assert.equal((await stream.next()).update.case, "add");
});

test("keeps the last good state of all files while one is broken, says why, and recovers", async (t) => {
  const { client, lines, put } = await start(t, WEB);
  const stream = client.stream(Destination.method.get, WEB_PATH);
  await stream.next();
  await put("broken.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}\n");
  const refusal = await lines.including("broken.yaml:4: spec.prots: found an unknown field");
  assert.match(refusal, /expected one of type, clusterIP/);
  await lines.including("the last good state stays in force");
  // A good change beside the broken file must wait too.
  await put("second.yaml", SECOND);
  const again = await client.stream(Destination.method.get, WEB_PATH).next();
  assert.ok(again.update.case === "add");
  assert.equal(again.update.value.addrs.length, 1);
  await put("broken.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: []}\n");
  const recovered = await stream.next();
  assert.ok(recovered.update.case === "add");
  assert.equal(recovered.update.value.addrs[0]?.metricLabels["external_workload"], "web-2");
  assert.equal(lines.all.filter((line) => line.includes("spec.prots")).length, 1);
});

test("takes a change within a second", async (t) => {
  const { client, put } = await start(t, WEB);
  const stream = client.stream(Destination.method.get, WEB_PATH);
  await stream.next();
  const before = performance.now();
  await put("second.yaml", SECOND);
  await stream.next();
  const tookMs = performance.now() - before;
  assert.ok(tookMs < 1000, `took ${tookMs} ms`);
});

test("pushes a policy again only where the message differs", async (t) => {
  const { client, lines, put } = await start(t, WEB);
  const workloadText = workloadString("shop", "web-1");
  const port = client.stream(InboundServerPolicies.method.watchPort, { workload: workloadText, port: 8080 });
  const other = client.stream(InboundServerPolicies.method.watchPort, { workload: workloadText, port: 9990 });
  assert.equal((await port.next()).labels["name"], "all-unauthenticated");
  assert.equal((await other.next()).labels["name"], "all-unauthenticated");
  await put(
    "server.yaml",
    "apiVersion: policy.linkerd.io/v1beta3\nkind: Server\nmetadata: {name: s, namespace: shop}\nspec: {externalWorkloadSelector: {}, port: http}\n",
  );
  const guarded = await port.next();
  assert.equal(guarded.labels["name"], "s");
  assert.deepEqual(guarded.authorizations, []);
  await lines.including("Resources reloaded");
  const unary = await client.unary(InboundServerPolicies.method.getPort, {
    workload: workloadText,
    port: 9990,
  });
  assert.equal(unary.labels["name"], "all-unauthenticated");
  assert.equal(other.waiting, 0);
});

test("ends the inbound stream of a workload that disappears, and answers NotFound until it returns", async (t) => {
  const { client, put } = await start(t, WEB);
  const request = { workload: workloadString("shop", "web-1"), port: 8080 };
  const stream = client.stream(InboundServerPolicies.method.watchPort, request);
  await stream.next();
  await put("mesh.yaml", "");
  assert.equal(await stream.status(), status.NOT_FOUND);
  assert.equal(await codeOf(client.unary(InboundServerPolicies.method.getPort, request)), status.NOT_FOUND);
});

test("keeps an outbound stream silent while its service is gone, and resumes it", async (t) => {
  const { client, lines, put } = await start(t, WEB);
  const request = {
    sourceWorkload: workloadString("shop", "x"),
    target: { case: "addr" as const, value: tcpAddress(ipOf("10.96.7.20"), 80) },
  };
  const stream = client.stream(OutboundPolicies.method.watch, request);
  assert.equal((await stream.next()).protocol?.kind.case, "detect");
  await put("mesh.yaml", "");
  await lines.including("Resources reloaded");
  assert.equal(await codeOf(client.unary(OutboundPolicies.method.get, request)), status.NOT_FOUND);
  await put("mesh.yaml", WEB.replace("port: 80,", "port: 80, appProtocol: http,"));
  assert.equal((await stream.next()).protocol?.kind.case, "http1");
});

test("streams profiles, and refuses what it cannot answer with the controller's status", async (t) => {
  const { client, put } = await start(t, WEB);
  const profile = client.stream(Destination.method.getProfile, { path: "10.96.7.20:80" });
  assert.equal((await profile.next()).fullyQualifiedName, "web.shop.svc.cluster.local");
  await put("mesh.yaml", WEB.replace("clusterIP: 10.96.7.20", "clusterIP: None"));
  assert.equal((await profile.next()).fullyQualifiedName, "");
  const unknown = client.stream(Destination.method.getProfile, { path: "gone.shop.svc.cluster.local:80" });
  assert.equal(await unknown.status(), status.UNKNOWN);
  const bad = client.stream(Destination.method.get, { path: "10.96.7.20:80" });
  assert.equal(await bad.status(), status.INVALID_ARGUMENT);
});

test("ends every stream with OK when it closes", async (t) => {
  const { plane, client } = await start(t, WEB);
  const stream = client.stream(Destination.method.get, WEB_PATH);
  await stream.next();
  await plane.close();
  assert.equal(await stream.status(), status.OK);
});

// --- identity ---

test("certifies a workload that has the token of its identity", async (t) => {
  const { plane, client } = await start(t, WEB, { identityLifetimeMs: 60_000 });
  const { csr } = generateKeyAndCsr(WEB_ID);
  const token = plane.tokenFor(WEB_ID);
  assert.ok(token !== undefined);
  const response = await client.unary(Identity.method.certify, {
    identity: WEB_ID,
    // A line end, as it comes with a file that somebody edited, does no harm.
    token: Buffer.from(`${token}\n`),
    certificateSigningRequest: csr,
  });
  const leaf = new X509Certificate(response.leafCertificate);
  const [issuerDer] = response.intermediateCertificates;
  assert.ok(issuerDer !== undefined);
  const issuer = new X509Certificate(issuerDer);
  assert.equal(leaf.subjectAltName, `DNS:${WEB_ID}`);
  assert.ok(leaf.verify(issuer.publicKey));
  assert.ok(issuer.verify(new X509Certificate(plane.trustAnchorsPem).publicKey));
  const lifeMs = leaf.validToDate.getTime() - Date.now();
  assert.ok(lifeMs > 50_000 && lifeMs < 70_000, `lives ${lifeMs} ms`);
  assert.equal(Number(response.validUntil?.seconds) * 1000, leaf.validToDate.getTime());
});

test("refuses certificates to whoever lacks token, identity or a fitting request", async (t) => {
  const other = workload("stock", "192.168.1.30", ["http=1"]).replaceAll(WEB_ID, "stock.example");
  const { plane, client } = await start(t, `${WEB}\n---\n${other}`);
  const { csr } = generateKeyAndCsr(WEB_ID);
  const token = Buffer.from(plane.tokenFor(WEB_ID) ?? "");
  const certify = (request: {
    identity?: string;
    token?: Uint8Array;
    certificateSigningRequest?: Uint8Array;
  }) =>
    codeOf(
      client.unary(Identity.method.certify, {
        identity: WEB_ID,
        token,
        certificateSigningRequest: csr,
        ...request,
      }),
    );
  assert.equal(await certify({}), status.OK);
  assert.equal(await certify({ identity: "" }), status.INVALID_ARGUMENT);
  assert.equal(await certify({ token: Buffer.of() }), status.INVALID_ARGUMENT);
  assert.equal(await certify({ certificateSigningRequest: Buffer.of() }), status.INVALID_ARGUMENT);
  assert.equal(
    await certify({ certificateSigningRequest: Buffer.from("no request") }),
    status.INVALID_ARGUMENT,
  );
  assert.equal(await certify({ token: Buffer.from("guess") }), status.FAILED_PRECONDITION);
  assert.equal(await certify({ identity: "stock.example" }), status.FAILED_PRECONDITION);
  assert.equal(await certify({ identity: "nobody.example" }), status.FAILED_PRECONDITION);
  const foreign = generateKeyAndCsr("stock.example").csr;
  assert.equal(await certify({ certificateSigningRequest: foreign }), status.FAILED_PRECONDITION);
});

test("writes tokens that only their owner may read, keeps them over restarts, and forgets those of identities that go", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "outrigger-"));
  t.after(() => rm(root, { recursive: true }));
  const options = {
    tokensDir: join(root, "tokens"),
    caDir: join(root, "ca"),
    trustAnchorsFile: join(root, "anchors.pem"),
  };
  const firstRun = await start(t, WEB, options);
  const token = firstRun.plane.tokenFor(WEB_ID);
  const path = join(options.tokensDir, WEB_ID);
  assert.equal(await readFile(path, "utf8"), token);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await stat(options.tokensDir)).mode & 0o777, 0o700);
  assert.equal(await readFile(options.trustAnchorsFile, "utf8"), firstRun.plane.trustAnchorsPem);
  await firstRun.plane.close();
  const secondRun = await start(t, WEB, options);
  assert.equal(secondRun.plane.tokenFor(WEB_ID), token);
  assert.equal(secondRun.plane.trustAnchorsPem, firstRun.plane.trustAnchorsPem);
  await secondRun.put("mesh.yaml", WEB.replaceAll(WEB_ID, "other.example"));
  await secondRun.lines.including("Resources reloaded");
  while ((await readdir(options.tokensDir)).join() !== "other.example") await setImmediate();
});

test("replaces a token that others may read", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "outrigger-"));
  t.after(() => rm(root, { recursive: true }));
  const known = "A".repeat(43);
  await writeFile(join(root, WEB_ID), known, { mode: 0o644 });
  const { plane } = await start(t, WEB, { tokensDir: root });
  assert.notEqual(plane.tokenFor(WEB_ID), known);
  assert.equal((await stat(join(root, WEB_ID))).mode & 0o777, 0o600);
});

// --- listeners ---

test("serves TLS and clear text on one port, and shows the name that a client asks for", async (t) => {
  const { plane } = await start(t, WEB);
  for (const name of plane.serverNames) {
    const tls = new TestClient(plane.address, credentials.createSsl(Buffer.from(plane.trustAnchorsPem)), {
      "grpc.ssl_target_name_override": name,
    });
    t.after(() => tls.close());
    const update = await tls.stream(Destination.method.get, WEB_PATH).next();
    assert.equal(update.update.case, "add");
  }
});

test("speaks HTTP/2 to TLS clients that offer no ALPN, as proxies do, and closes with them", async (t) => {
  const { plane } = await start(t, WEB);
  const [servername] = plane.serverNames;
  const socket = connectTls({
    host: "127.0.0.1",
    port: plane.address.port,
    servername,
    ca: plane.trustAnchorsPem,
  });
  await once(socket, "secureConnect");
  assert.equal(socket.getProtocol(), "TLSv1.3");
  assert.equal(socket.alpnProtocol, false);
  const session = connectHttp2("http://control-plane", { createConnection: () => socket });
  t.after(() => session.destroy());
  const request = session.request({
    ":method": "POST",
    ":path": "/io.linkerd.proxy.identity.Identity/Certify",
    "content-type": "application/grpc",
    te: "trailers",
  });
  request.end(Buffer.alloc(5));
  // Response and trailers are one block, because there is no message.
  const [headers] = await once(request, "response");
  assert.equal(headers[":status"], 200);
  assert.equal(headers["grpc-status"], String(status.INVALID_ARGUMENT));
});

test("does not start on manifests with problems, and names all of them", async (t) => {
  await assert.rejects(
    start(t, `${WEB}\n---\n${WEB}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: UPPER}\nspec: {}`),
    (error: unknown) => {
      assert.ok(error instanceof ManifestError);
      assert.equal(error.problems.length, 4);
      assert.match(error.problems.join("\n"), /metadata\.name: found "UPPER"/);
      assert.match(
        error.problems.join("\n"),
        /metadata\.name: found Service shop\/web a second time, .* already in .*mesh\.yaml:2/,
      );
      assert.match(
        error.problems.join("\n"),
        /spec\.clusterIP: found cluster IP 10\.96\.7\.20 a second time/,
      );
      return true;
    },
  );
});
