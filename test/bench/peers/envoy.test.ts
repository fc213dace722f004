import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writeCerts } from "../../../bench/certs.ts";
import { envoyBootstrap, type EnvoyPart } from "../../../bench/peers/envoy-bootstrap.ts";
import { envoy } from "../../../bench/peers/envoy.ts";
import type { Certs, Job } from "../../../bench/peers/peer.ts";
import { exchange, startApplications, type Applications } from "./exchange.ts";

const VARIABLE = "OUTRIGGER_BENCH_ENVOY";
const FAKE = fileURLToPath(new URL("fake-envoy.ts", import.meta.url));
const CERTS: Certs = { ca: "ca", cert: "cert", key: "key", combined: "combined", name: "peer.test" };

describe("Envoy as a peer of the bench", () => {
  let dir = "";
  let applications: Applications;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "outrigger-envoy-"));
    applications = await startApplications();
  });

  after(async () => {
    delete process.env[VARIABLE];
    applications.close();
    await rm(dir, { recursive: true, force: true });
  });

  test("is missing as long as nobody names a program that can be run", async () => {
    delete process.env[VARIABLE];
    assert.match(envoy.missing() ?? "", /^OUTRIGGER_BENCH_ENVOY.* is not set$/);
    const file = join(dir, "text");
    await writeFile(file, "no program");
    for (const path of [file, dir, join(dir, "nowhere")]) {
      process.env[VARIABLE] = path;
      assert.equal(envoy.missing(), `OUTRIGGER_BENCH_ENVOY names ${path}, which is not an executable file`);
    }
    await chmod(file, 0o700);
    process.env[VARIABLE] = file;
    assert.equal(envoy.missing(), undefined);
  });

  for (const topology of ["hop", "pair"] as const) {
    test(`carries bytes as a ${topology} when another program acts on its configuration`, async () => {
      process.env[VARIABLE] = await fakeEnvoy(dir);
      const site = {
        appPort: applications.ports.tcp,
        dir: await mkdtemp(join(dir, "site-")),
        certs: await writeCerts(dir),
      };
      const running = await envoy.start({ topology, protocol: "tcp" }, site);
      try {
        await exchange({ protocol: "tcp" }, running.port);
      } finally {
        await running.stop();
      }
      for (const part of Object.keys(running.proxies)) {
        const name = part === "proxy" ? "hop" : part;
        const text = await readFile(join(site.dir, `envoy-${name}.json`), "utf8");
        assert.ok(text.includes("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"));
      }
    });
  }

  test("ends with what its program said when that refuses the configuration", async () => {
    const file = join(dir, "refuses");
    await writeFile(file, "#!/bin/sh\necho 'unknown field' >&2\nexit 1\n", { mode: 0o700 });
    process.env[VARIABLE] = file;
    const site = { appPort: applications.ports.tcp, dir, certs: CERTS };
    await assert.rejects(envoy.start({ topology: "hop", protocol: "tcp" }, site), /unknown field/);
  });
});

describe("Envoy's configuration", () => {
  const of = (name: EnvoyPart["name"], protocol: Job["protocol"]) => {
    const text = JSON.stringify(
      envoyBootstrap({ name, protocol, port: 1001, targetPort: 1002, certs: CERTS }),
    );
    return { text, has: (fragment: object) => text.includes(JSON.stringify(fragment).slice(1, -1)) };
  };
  const HTTP1_SERVERS = { explicit_http_config: { http_protocol_options: {} } };

  // What each part speaks: to its clients, and to where it sends.
  for (const [name, protocol, clients, servers] of [
    ["hop", "http1", "HTTP1", 1],
    ["hop", "http2", "HTTP2", 2],
    ["outbound", "http1", "HTTP1", 2],
    ["outbound", "http2", "HTTP2", 2],
    ["inbound", "http1", "HTTP2", 1],
    ["inbound", "http2", "HTTP2", 2],
  ] as const) {
    test(`has ${name} of ${protocol} take ${clients} and send HTTP/${servers}`, () => {
      const bootstrap = of(name, protocol);
      assert.ok(bootstrap.has({ codec_type: clients }));
      assert.equal(bootstrap.has(HTTP1_SERVERS), servers === 1);
      assert.equal(
        bootstrap.text.includes('"explicit_http_config":{"http2_protocol_options"'),
        servers === 2,
      );
      assert.ok(bootstrap.has({ key: "x-proxy", value: name }));
      assert.ok(bootstrap.has({ key: "x-forwarded-for" }));
      assert.ok(bootstrap.has({ timeout: "0s" }));
      assert.ok(bootstrap.text.includes("filters.http.router.v3.Router"));
      assert.equal(bootstrap.text.includes("access_log"), false);
    });
  }

  for (const protocol of ["http1", "http2", "tcp"] as const) {
    test(`speaks mutual TLS 1.3 between the two of a pair, and there alone, with ${protocol}`, () => {
      assert.equal(of("hop", protocol).text.includes("tls"), false);
      const versions = { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" };
      for (const name of ["inbound", "outbound"] as const) {
        const bootstrap = of(name, protocol);
        assert.equal(bootstrap.text.split("transport_sockets.tls.v3").length, 2, "on one of its sides");
        assert.ok(bootstrap.has({ tls_params: versions }));
        assert.ok(bootstrap.has({ trusted_ca: { filename: "ca" } }));
        assert.ok(bootstrap.has({ san_type: "DNS", matcher: { exact: "peer.test" } }));
        assert.equal(bootstrap.has({ alpn_protocols: ["h2"] }), protocol !== "tcp");
      }
      assert.ok(of("inbound", protocol).has({ require_client_certificate: true }));
      assert.ok(of("outbound", protocol).has({ sni: "peer.test" }));
    });
  }

  test("resumes no session where each connection is to make a handshake of its own", () => {
    assert.ok(of("outbound", "tcp").has({ max_session_keys: 0 }));
    assert.ok(
      of("inbound", "tcp").has({
        disable_stateless_session_resumption: true,
        disable_stateful_session_resumption: true,
      }),
    );
  });

  test("has room for 8,000 connections and requests", () => {
    const bootstrap = of("hop", "http1");
    assert.ok(bootstrap.has({ max_active_downstream_connections: 8000 }));
    assert.ok(
      bootstrap.has({
        max_connections: 8000,
        max_pending_requests: 8000,
        max_requests: 8000,
        max_retries: 8000,
      }),
    );
  });
});

/** An executable file, as Envoy's is. */
async function fakeEnvoy(dir: string): Promise<string> {
  const file = join(dir, "envoy");
  await writeFile(file, `#!/bin/sh\nexec "${process.execPath}" --no-warnings "${FAKE}" "$@"\n`, {
    mode: 0o700,
  });
  return file;
}
