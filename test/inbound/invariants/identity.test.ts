/** Invariants of identity, against a proxy whose identity service or agent says what it should not. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { generateKeyAndCsr } from "../../../src/identity/key.ts";
import { CertifyResponseSchema } from "../../../src/proto/gen/identity_pb.js";
import { ScriptedServer } from "../../control/scripted-server.ts";
import { httpApp, metricsOf, portOf, sum, until } from "../../socket/pair.ts";
import { TestCa, type LeafOptions, type TestLeaf } from "../../support/certs.ts";
import { directConnect, directGet } from "../../support/direct-client.ts";
import { identityDir, LoneProxy } from "../../support/lone-proxy.ts";
import { identityOf, type Workload } from "../../support/mesh-manifest.ts";
import { svidOf, WorkloadApi } from "../../support/workload-api.ts";

const ROOT = TestCa.create();
const FOREIGN = TestCa.create();
const NAME = identityOf("web");
const WORKLOAD: Workload = { name: "web", ports: {}, proxyPort: 0 };
const HOUR_MS = 3_600_000;

/** The certificate that a proxy shows to who connects now, without a certificate of their own. */
async function servedBy(proxy: LoneProxy): Promise<Buffer> {
  const socket = await directConnect({ port: proxy.inboundPort, serverName: NAME });
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return raw;
}

let app: Server;
before(async () => {
  app = await httpApp((_request, response) => response.end("served"));
});
after(() => app.close());

describe("a proxy and its identity service", { timeout: 20_000 }, () => {
  type Answer = MessageInitShape<typeof CertifyResponseSchema>;
  const { key, csr } = generateKeyAndCsr(NAME);
  const control = new ScriptedServer();
  /** Given once each; without one the service refuses. */
  const answers: Answer[] = [];
  const tokens: string[] = [];
  const requests = new Set<string>();
  let proxy: LoneProxy;
  let tokenFile: string;

  const issued = (ca: TestCa, options: LeafOptions = {}): TestLeaf => ca.issue({ id: NAME, key, ...options });
  const answerOf = (leaf: TestLeaf, validUntilMs = leaf.notAfterMs): Answer => ({
    leafCertificate: leaf.leafDer,
    intermediateCertificates: [...leaf.intermediatesDer],
    validUntil: timestampFromMs(validUntilMs),
  });
  /** Has the service give an answer, and waits until the proxy has judged it. */
  const answer = async (next: Answer): Promise<void> => {
    answers.push(next);
    await until("the answer is taken", () => answers.length === 0);
    const taken = tokens.length;
    await until("the proxy asks again", () => tokens.length > taken);
  };

  before(async () => {
    control.certify = ({ identity, token, certificateSigningRequest }) => {
      requests.add(`${identity} ${Buffer.from(certificateSigningRequest).toString("hex")}`);
      tokens.push(Buffer.from(token).toString());
      const next = answers.shift();
      if (next === undefined) throw new Error("refused");
      return create(CertifyResponseSchema, next);
    };
    await control.start();
    const dir = await identityDir();
    tokenFile = join(dir, "token");
    await writeFile(tokenFile, "token-that-nobody-may-read-1");
    // As a launcher leaves them: the test has to know the key to certify another one.
    await writeFile(join(dir, "key.p8"), key.export({ type: "pkcs8", format: "der" }));
    await writeFile(join(dir, "csr.der"), csr);
    proxy = await LoneProxy.start(WORKLOAD, `127.0.0.1:${control.port}`, dir, ROOT.certPem, {
      LINKERD2_PROXY_IDENTITY_MIN_REFRESH: "20ms",
      LINKERD2_PROXY_IDENTITY_MAX_REFRESH: "20ms",
      LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
    });
  });
  after(async () => {
    await proxy.close();
    control.kill();
  });

  it("invariant 5: nothing is accepted before the first certificate, and what queued is served with it", async () => {
    let done = false;
    const { inboundPort: port } = proxy;
    const leaf = ROOT.issue({ id: identityOf("client") });
    const queued = directGet({ port, serverName: NAME, leaf, target: portOf(app) }).finally(
      () => (done = true),
    );
    await until("several attempts have failed", () => tokens.length >= 5);
    await pause(100);
    assert.equal(done, false);
    assert.equal((await proxy.admin("/ready")).status, 503);
    const page = await metricsOf(proxy.running);
    assert.equal(sum(page, "tcp_open_total", { tls: "true" }), 0);
    for (const gauge of ["expiration", "refresh"]) {
      const name = `control_identity_cert_${gauge}_timestamp_seconds`;
      assert.deepEqual(
        page.samples.filter((sample) => sample.name === name).map(({ value }) => value),
        [0],
      );
    }
    await answer(answerOf(issued(ROOT)));
    assert.match(await queued, /^HTTP\/1\.1 200 OK\r\n[^]*served$/);
    assert.equal((await proxy.admin("/ready")).status, 200);
    assert.ok(proxy.lines.some((line) => line.includes("Certified identity") && line.includes(NAME)));
  });

  it("inbound 2.7: gauges tell the end of the certificate in force and when it came", async () => {
    const page = await metricsOf(proxy.running);
    const { validTo } = new X509Certificate(await servedBy(proxy));
    const expiry = "control_identity_cert_expiration_timestamp_seconds";
    assert.equal(Math.floor(sum(page, expiry)), Date.parse(validTo) / 1000);
    const age = Date.now() / 1000 - sum(page, "control_identity_cert_refresh_timestamp_seconds");
    assert.ok(age >= 0 && age < 20, `${age} s`);
  });

  it("invariant 2: nothing is installed that does not chain, name us, fit the key or is over", async () => {
    const before = await servedBy(proxy);
    const other = TestCa.create().issue().key;
    const past = Date.now() - 1000;
    const rejected: readonly (readonly [string, Answer])[] = [
      ["of another authority", answerOf(issued(FOREIGN))],
      [
        "without its intermediate",
        { ...answerOf(issued(ROOT.intermediate())), intermediateCertificates: [] },
      ],
      ["of another identity", answerOf(issued(ROOT, { id: identityOf("db") }))],
      ["for another key", answerOf(issued(ROOT, { key: other }))],
      ["that is over", answerOf(issued(ROOT, { notAfterMs: past }), Date.now() + HOUR_MS)],
      [
        "that has not begun",
        answerOf(issued(ROOT, { notBeforeMs: Date.now() + HOUR_MS, notAfterMs: Date.now() + 2 * HOUR_MS })),
      ],
      ["of an authority", answerOf(issued(ROOT, { authority: true }))],
      ["that is garbage", { ...answerOf(issued(ROOT)), leafCertificate: Buffer.from("leaf") }],
    ];
    const refreshes = "control_identity_cert_refreshes_total";
    let errors = 0;
    for (const [what, next] of rejected) {
      await answer(next);
      errors++;
      const page = await metricsOf(proxy.running);
      assert.equal(sum(page, refreshes, { result: "error" }), errors, what);
      assert.deepEqual(await servedBy(proxy), before, what);
    }
    const good = answerOf(issued(ROOT));
    for (const [what, next] of [
      ["whose stated end is past", { ...good, validUntil: timestampFromMs(past) }],
      ["without a stated end", { leafCertificate: issued(ROOT).leafDer }],
    ] as const) {
      await answer(next);
      const page = await metricsOf(proxy.running);
      assert.equal(sum(page, refreshes, { result: "error" }), errors, what);
      assert.deepEqual(await servedBy(proxy), before, what);
    }
    assert.equal(sum(await metricsOf(proxy.running), refreshes, { result: "ok" }), 1);
    const next = issued(ROOT);
    await answer(answerOf(next));
    assert.deepEqual(await servedBy(proxy), next.leafDer);
  });

  it("inbound 2.7: the key and the request that a launcher left serve every renewal", () => {
    assert.deepEqual([...requests], [`${NAME} ${csr.toString("hex")}`]);
  });

  it("invariant 6: the token is read for each attempt, as it is, and never logged", async () => {
    const [second, third] = ["token-that-nobody-may-read-2\n", " token-that-nobody-may-read-3"];
    for (const token of [second, third]) {
      await writeFile(tokenFile, token);
      await until(`${token} is sent`, () => tokens.at(-1) === token);
    }
    const logged = proxy.lines.join("");
    assert.match(logged, /no new certificate/);
    assert.doesNotMatch(logged, /nobody-may-read/);
    assert.doesNotMatch(logged, new RegExp(Buffer.from("nobody-may-read").toString("hex"), "i"));
    for (const path of ["/metrics", "/env.json"]) {
      assert.doesNotMatch((await proxy.admin(path)).body, /nobody-may-read/, path);
    }
  });
});

describe("a proxy and its SPIRE agent", { timeout: 20_000 }, () => {
  const ID = "spiffe://root.linkerd.cluster.local/web";
  let agent: WorkloadApi;
  let proxy: LoneProxy;
  before(async () => {
    agent = await WorkloadApi.start();
    const workload: Workload = { ...WORKLOAD, spire: { id: ID, socketPath: agent.socketPath } };
    // Nobody answers for the control plane: the default policy is in force.
    proxy = await LoneProxy.start(workload, "127.0.0.1:1", await identityDir(), ROOT.certPem, {
      LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
    });
  });
  after(async () => {
    await proxy.close();
    await agent.close();
  });

  const get = (ca: TestCa): Promise<string> => {
    const { inboundPort: port } = proxy;
    return directGet({
      port,
      serverName: NAME,
      leaf: ca.issue({ id: identityOf("client") }),
      target: portOf(app),
    });
  };

  it("invariant 3: anchors come from the configuration, whatever bundles the agent sends", async () => {
    const svid = { ...svidOf(ID, ROOT.issue({ id: ID })), bundle: FOREIGN.certDer };
    const bundles = { "root.linkerd.cluster.local": FOREIGN.certDer, "elsewhere.example": FOREIGN.certDer };
    agent.publish({ svids: [svid], federatedBundles: bundles, crl: [FOREIGN.certDer] });
    await until("the proxy is ready", async () => (await proxy.admin("/ready")).status === 200);
    assert.match(await get(ROOT), /^HTTP\/1\.1 200 /);
    assert.equal(await get(FOREIGN), "");
    // Nor is an SVID itself taken for chaining to the bundle that comes with it.
    const served = await servedBy(proxy);
    agent.publish({ svids: [{ ...svidOf(ID, FOREIGN.issue({ id: ID })), bundle: FOREIGN.certDer }] });
    const errors = "control_identity_cert_refreshes_total";
    await until(
      "the SVID is refused",
      async () => sum(await metricsOf(proxy.running), errors, { result: "error" }) === 1,
    );
    assert.deepEqual(await servedBy(proxy), served);
  });
});
