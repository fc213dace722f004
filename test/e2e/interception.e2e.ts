/**
 * The whole path, as a pod or a virtual machine has it: an unmodified curl in one network namespace, an unmodified HTTP
 * server in another, and between them rules of `outrigger init` and two proxies.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import {
  CLIENT,
  InterceptedMesh,
  SERVER,
  serverIp,
  urlOf,
  type Answer,
  type Seen,
} from "./support/intercepted-mesh.ts";
import { Lab, PROXY_UID } from "./support/lab.ts";
import { identityOf } from "./support/manifests.ts";
import { findRequirements, type Backend } from "./support/requirements.ts";
import { FAMILIES } from "./support/rules.ts";
import { sum } from "./support/samples.ts";

const requirements = findRequirements();

/** curl's exit code for a connection that nobody accepts. */
const CURL_REFUSED = 7;

/** How long a proxy may take to find that its peer is back: well above its longest pause between attempts. */
const RECOVERY_MS = 20_000;

/** How long a line of a program's log may be on its way to us. */
const LOG_MS = 5000;

/** Type and version of a TLS record that carries application data (RFC 8446, section 5.1). */
const TLS_APPLICATION_DATA = Buffer.of(0x17, 0x03, 0x03);

if (requirements.kind === "missing") {
  const { reason } = requirements;
  it("traffic between two network namespaces is intercepted", { skip: reason }, () => assert.fail(reason));
} else {
  for (const backend of requirements.backends) describeInterception(backend);
}

function describeInterception(backend: Backend): void {
  describe(`traffic between two network namespaces, intercepted by iptables-${backend}`, () => {
    const lab = new Lab();
    let mesh: InterceptedMesh;

    before(async () => {
      mesh = await InterceptedMesh.start(lab, backend);
    });

    afterEach((t) => {
      // Typed for suites as well, which have no outcome of their own.
      if (!("passed" in t) || t.passed) return;
      for (const child of lab.children.filter(({ name }) => !["capture", "curl"].includes(name))) {
        console.log(`--- ${child.name}\n${child.output}`);
      }
    });

    after(async () => {
      await lab.close();
      assert.deepEqual(lab.leftovers(), []);
    });

    it("is encrypted on the wire, but for the server's name", async () => {
      const answers: Answer[] = [];
      const wire = await mesh.onTheWire(async () => {
        for (const family of FAMILIES) {
          for (const by of ["service", "workload"] as const) answers.push(await mesh.curl(urlOf(family, by)));
        }
      });
      for (const answer of answers) assert.match(succeeded(answer), new RegExp(mesh.marker));
      assert.ok(wire.includes(identityOf(SERVER)), "the handshake asks for the server by its identity");
      assert.ok(wire.includes(TLS_APPLICATION_DATA), "application data travels in TLS records");
      for (const secret of [mesh.marker, "HTTP/", "GET /", "user-agent", identityOf(CLIENT)]) {
        assert.equal(wire.indexOf(secret), -1, `${secret} is legible`);
      }
    });

    for (const family of FAMILIES) {
      for (const by of ["service", "workload"] as const) {
        it(`reaches the ${by}'s IPv${family} address through both proxies with mutual TLS`, async () => {
          const before = counts(mesh);
          const seen = seenBy(await mesh.curl(`${urlOf(family, by)}/hello?from=curl`));
          assert.equal(seen.marker, mesh.marker);
          assert.equal(seen.url, "/hello?from=curl");
          assert.equal(seen.headers["l5d-client-id"], identityOf(CLIENT));
          // Behind the service are both addresses of the workload, and either will do.
          if (by === "workload") assert.equal(unmapped(seen.localAddress), serverIp(family));
          const after = counts(mesh);
          assert.equal(after.sentOverTls - before.sentOverTls, 1, "requests that the client's proxy sent");
          assert.equal(after.takenOverTls - before.takenOverTls, 1, "requests that the server's proxy took");
          assert.equal(after.allowed - before.allowed, 1, "requests that the server's policy allowed");
          assert.equal(after.clearText, 0, "requests that the server's proxy took in clear text");
        });
      }
    }

    it("turns every connection of the application to the proxy, once", async () => {
      for (const family of FAMILIES) {
        const before = mesh.client.counters(family);
        succeeded(await mesh.curl(urlOf(family, "service")));
        succeeded(await mesh.curl(urlOf(family, "workload")));
        const { redirected } = mesh.client.counters(family);
        assert.equal(redirected - before.redirected, 2, `IPv${family}`);
      }
    });

    it("leaves the proxies' own connections alone", async () => {
      for (const family of FAMILIES) {
        const client = mesh.client.counters(family);
        assert.ok(
          client.owner > 0,
          `the client's proxy made no IPv${family} connection that the rules let go`,
        );
        const server = mesh.server.counters(family);
        assert.ok(
          server.owner > 0,
          `the server's proxy made no IPv${family} connection that the rules let go`,
        );
        // Nothing but the proxy connects to anything in that namespace.
        assert.equal(server.redirected, 0, `the server's proxy was redirected, IPv${family}`);
      }
    });

    it("lets a program of the proxy's user go straight out, and takes its clear text in through the server's proxy", async () => {
      for (const family of FAMILIES) {
        const before = { ...counts(mesh), ...mesh.client.counters(family) };
        let answer: Answer | undefined;
        const wire = await mesh.onTheWire(async () => {
          answer = await mesh.curl(urlOf(family, "workload"), PROXY_UID);
        });
        assert.ok(answer);
        assert.equal(seenBy(answer).headers["l5d-client-id"], undefined);
        assert.ok(wire.includes(mesh.marker), "what is not encrypted is legible");
        const after = { ...counts(mesh), ...mesh.client.counters(family) };
        assert.equal(after.redirected, before.redirected);
        assert.equal(after.sentOverTls, before.sentOverTls);
        assert.equal(
          after.clearText - before.clearText,
          1,
          "requests that the server's proxy took in clear text",
        );
      }
    });

    it("reaches the control plane by TLS only", async () => {
      const answer = await mesh.curlControllers();
      assert.notEqual(answer.exit, 0, answer.body);
      await mesh.controlPlane.said(/Refused clear text from another machine/, LOG_MS);
      for (const { workload } of [mesh.client, mesh.server]) {
        assert.match(
          mesh.controlPlane.output,
          new RegExp(`Certificate issued identity=${identityOf(workload)}`),
        );
      }
    });

    it("passes by the proxies where a port is ignored, until it no longer is", async () => {
      mesh.server.init("--inbound-ports-to-ignore", "8080");
      const before = counts(mesh);
      seenBy(await mesh.curl(urlOf(4, "workload"), PROXY_UID));
      seenBy(await mesh.curl(urlOf(6, "workload"), PROXY_UID));
      assert.deepEqual(counts(mesh), before);
      mesh.server.init();
      seenBy(await mesh.curl(urlOf(4, "workload"), PROXY_UID));
      assert.equal(counts(mesh).clearText - before.clearText, 1);
    });

    it("goes on as before when the rules are installed again", async () => {
      for (const sidecar of [mesh.client, mesh.server]) {
        const before = FAMILIES.map((family) => sidecar.savedRules(family));
        sidecar.init();
        assert.deepEqual(
          FAMILIES.map((family) => sidecar.savedRules(family)),
          before,
        );
      }
      for (const family of FAMILIES) {
        const seen = seenBy(await mesh.curl(urlOf(family, "service")));
        assert.equal(seen.headers["l5d-client-id"], identityOf(CLIENT));
      }
    });

    it("fails while the server's proxy is dead, and never passes it by", async () => {
      const before = mesh.requestsSeen();
      mesh.server.proxy.kill("SIGKILL");
      await mesh.server.proxy.ended;
      for (const family of FAMILIES) {
        for (const by of ["service", "workload"] as const) {
          const { status, body } = await mesh.curl(urlOf(family, by));
          assert.ok(status >= 502 && status <= 504, `IPv${family}, ${by}: ${status} ${body}`);
        }
        assert.equal((await mesh.curl(urlOf(family, "workload"), PROXY_UID)).exit, CURL_REFUSED);
      }
      assert.equal(mesh.requestsSeen(), before);
    });

    it("passes again once the server's proxy is back", async () => {
      await mesh.server.startProxy();
      const deadline = Date.now() + RECOVERY_MS;
      for (const family of FAMILIES) {
        for (const by of ["service", "workload"] as const) {
          let answer = await mesh.curl(urlOf(family, by));
          while (answer.status !== 200 && Date.now() < deadline) answer = await mesh.curl(urlOf(family, by));
          assert.equal(seenBy(answer).headers["l5d-client-id"], identityOf(CLIENT));
        }
      }
    });

    it("is refused once the client's proxy has ended, which it does with code 0 on SIGTERM", async () => {
      const before = mesh.requestsSeen();
      assert.deepEqual(await mesh.client.proxy.stop(), { code: 0, signal: null });
      for (const family of FAMILIES) {
        assert.equal((await mesh.curl(urlOf(family, "workload"))).exit, CURL_REFUSED);
        assert.equal((await mesh.curl(urlOf(family, "service"))).exit, CURL_REFUSED);
      }
      assert.equal(mesh.requestsSeen(), before);
    });

    it("is left alone once the rules are removed", async () => {
      for (const sidecar of [mesh.client, mesh.server]) {
        sidecar.init("--cleanup");
        for (const family of FAMILIES) assert.doesNotMatch(sidecar.savedRules(family), /PROXY_INIT|-A /);
      }
      await mesh.server.proxy.stop();
      for (const family of FAMILIES) {
        const seen = seenBy(await mesh.curl(urlOf(family, "workload")));
        assert.equal(seen.headers["l5d-client-id"], undefined);
      }
    });
  });
}

interface Counts {
  readonly sentOverTls: number;
  readonly takenOverTls: number;
  readonly allowed: number;
  readonly clearText: number;
}

/** Requests to the application, as both proxies count them. */
function counts(mesh: InterceptedMesh): Counts {
  const server = mesh.server.metrics();
  const client = { tls: "true", client_id: identityOf(CLIENT), target_port: "8080" };
  return {
    sentOverTls: sum(mesh.client.metrics(), "request_total", {
      direction: "outbound",
      tls: "true",
      server_id: identityOf(SERVER),
    }),
    takenOverTls: sum(server, "request_total", { direction: "inbound", ...client }),
    allowed: sum(server, "inbound_http_authz_allow_total", client),
    clearText: sum(server, "request_total", {
      direction: "inbound",
      tls: "no_identity",
      target_port: "8080",
    }),
  };
}

/** The body of a response that must be a good one. */
function succeeded({ exit, status, body, output }: Answer): string {
  assert.deepEqual({ exit, status }, { exit: 0, status: 200 }, output);
  return body;
}

function seenBy(answer: Answer): Seen {
  // Written by the application of this test.
  return JSON.parse(succeeded(answer)) as Seen;
}

function unmapped(address: string): string {
  return address.replace(/^::ffff:/, "");
}
