import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { Config } from "../../src/config/config.ts";
import { BUILD } from "../../src/config/build-info.ts";
import { load } from "../../src/config/load.ts";
import type { Files } from "../../src/config/reader.ts";

const FILES: Files = {
  isDirectory: (path) => path === "/id",
  size: (path) => (path === "/token" ? 10 : path === "/empty" ? 0 : undefined),
};

const P = "LINKERD2_PROXY_";
/** The least that a proxy can be configured with. */
const LEAST: Readonly<Record<string, string>> = {
  DESTINATION_SVC_ADDR: "localhost.:8086",
  POLICY_SVC_ADDR: "localhost.:8090",
  POLICY_WORKLOAD: '{"ns":"shop", "pod":"web"}\n',
  IDENTITY_SVC_ADDR: "127.0.0.1:8080",
  IDENTITY_LOCAL_NAME: "web.shop.serviceaccount.identity.linkerd.cluster.local",
  IDENTITY_TRUST_ANCHORS: "-----BEGIN CERTIFICATE-----",
  IDENTITY_DIR: "/id",
  IDENTITY_TOKEN_FILE: "/token",
};

/** Loads the least with changes; names without `OUTRIGGER_` take the usual prefix; undefined unsets. */
function loadWith(changes: Readonly<Record<string, string | undefined>>) {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries({ ...LEAST, ...changes })) {
    if (value !== undefined) values.set(name.startsWith("OUTRIGGER_") ? name : P + name, value);
  }
  return load((name) => values.get(name), FILES);
}

function configWith(changes: Readonly<Record<string, string | undefined>> = {}): Config {
  const loaded = loadWith(changes);
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.problems.join("\n"));
  return loaded.config;
}

function problemsWith(changes: Readonly<Record<string, string | undefined>>): readonly string[] {
  const loaded = loadWith(changes);
  return loaded.ok ? [] : loaded.problems;
}

describe("loading the configuration", () => {
  it("fills in every default from the least that must be set", () => {
    const { inbound, outbound, admin, control, identity, log, shutdown, metrics, debugBuffers } =
      configWith();
    assert.equal(`${inbound.listen.ip.text}:${inbound.listen.port}`, "0.0.0.0:4143");
    assert.deepEqual(
      outbound.listen.map((a) => `${a.ip.text}:${a.port}`),
      ["127.0.0.1:4140"],
    );
    assert.equal(`${admin.listen.ip.text}:${admin.listen.port}`, "127.0.0.1:4191");
    assert.equal(inbound.connectTimeoutMs, 300);
    assert.equal(outbound.connectTimeoutMs, 1000);
    assert.deepEqual(inbound.connectBackoff, { minMs: 100, maxMs: 10_000, jitter: 0.1 });
    assert.deepEqual(outbound.connectBackoff, { minMs: 100, maxMs: 60_000, jitter: 0.1 });
    assert.equal(inbound.discoveryIdleTimeoutMs, 90_000);
    assert.equal(outbound.discoveryIdleTimeoutMs, 5_000);
    assert.equal(inbound.defaultPolicy, "all-unauthenticated");
    assert.deepEqual(control.profileSuffixes, ["svc.cluster.local."]);
    assert.equal(control.streamLifetimeMs, undefined);
    assert.ok(identity.kind === "certify");
    assert.equal(identity.minRefreshMs, 10_000);
    assert.equal(identity.maxRefreshMs, 86_400_000);
    assert.deepEqual(log, { filter: "warn,linkerd=info,hickory=error", format: "plain" });
    assert.equal(shutdown.gracePeriodMs, 120_000);
    assert.equal(metrics.retainIdleMs, 600_000);
    assert.equal(outbound.informationalHeaders, true);
    assert.equal(outbound.allowLoopback, false);
    assert.equal(debugBuffers, false);
  });

  it("reads what the stock injector sets", () => {
    const config = configWith({
      OUTBOUND_LISTEN_ADDRS: "127.0.0.1:4140,[::1]:4140",
      INBOUND_LISTEN_ADDR: "[::]:4143",
      INBOUND_ACCEPT_KEEPALIVE: "10000ms",
      INBOUND_ACCEPT_USER_TIMEOUT: "30s",
      INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL: "10s",
      INBOUND_SERVER_HTTP2_KEEP_ALIVE_TIMEOUT: "3s",
      DESTINATION_SVC_ADDR: "linkerd-dst-headless.linkerd.svc.cluster.local.:8086",
      DESTINATION_SVC_NAME: "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local",
      DESTINATION_PROFILE_NETWORKS: "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8",
      POLICY_CLUSTER_NETWORKS: "10.0.0.0/8",
      INBOUND_DEFAULT_POLICY: "cluster-authenticated",
      INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION: "25,587,3306,4444,5432,6379,9300,11211",
      INBOUND_IPS: "192.0.2.7",
      CONTROL_STREAM_INITIAL_TIMEOUT: "3s",
      CONTROL_STREAM_IDLE_TIMEOUT: "5m",
      CONTROL_STREAM_LIFETIME: "1h",
      LOG: "warn,linkerd=info,[{headers}]=off,[{request}]=off",
      LOG_FORMAT: "plain",
      INBOUND_PORTS_REQUIRE_TLS: "8080",
      CORES: "1",
    });
    assert.equal(config.outbound.listen.length, 2);
    assert.deepEqual(config.inbound.http2Server.keepAlive, { intervalMs: 10_000, timeoutMs: 3_000 });
    assert.equal(
      config.control.destination.name,
      "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local",
    );
    assert.equal(config.control.policyWorkload, '{"ns":"shop", "pod":"web"}\n');
    assert.equal(config.inbound.opaquePorts.length, 8);
    // The identity controller's own pod has it; a door that stays open must not pass for shut.
    assert.deepEqual(config.warnings, [
      "LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS is set, but the policy controller decides who needs TLS",
    ]);
  });

  it("warns of the debug switch that costs speed", () => {
    const config = configWith({ INBOUND_DEFAULT_POLICY: "deny", OUTRIGGER_DEBUG_BUFFERS: "true" });
    assert.equal(config.debugBuffers, true);
    assert.deepEqual(config.warnings, [
      "OUTRIGGER_DEBUG_BUFFERS is set: freed buffers are overwritten, which costs speed",
    ]);
  });

  it("reports every problem of one run at once, each with variable, text and expected form", () => {
    const problems = problemsWith({
      INBOUND_CONNECT_TIMEOUT: "300",
      OUTBOUND_LISTEN_ADDR: "localhost:4140",
      INGRESS_MODE: "yes",
      POLICY_WORKLOAD: undefined,
      OUTRIGGER_ALLOW_LOOPBACK: "1",
    });
    assert.equal(problems.length, 5, problems.join("\n"));
    const text = problems.join("\n");
    assert.match(
      text,
      /^LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT="300" is not valid: not a duration.*, expected an integer directly/m,
    );
    assert.match(
      text,
      /^LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR="localhost:4140" is not valid: .*host is not an IP address, expected IP:PORT/m,
    );
    assert.match(
      text,
      /^LINKERD2_PROXY_INGRESS_MODE="yes" is not valid: not a boolean, expected true or false$/m,
    );
    assert.match(text, /^LINKERD2_PROXY_POLICY_WORKLOAD must be set/m);
    assert.match(text, /^OUTRIGGER_ALLOW_LOOPBACK="1" is not valid/m);
  });

  it("reports one problem once, although both sides share the variable", () => {
    assert.equal(problemsWith({ HTTP2_INITIAL_STREAM_WINDOW_SIZE: "big" }).length, 1);
  });

  it("names everything that is missing from an empty environment", () => {
    const loaded = load(() => undefined, FILES);
    assert.ok(!loaded.ok);
    const text = loaded.problems.join("\n");
    for (const what of [
      "no destination service",
      "no policy service",
      "no identity service",
      "POLICY_WORKLOAD",
      "LOCAL_NAME",
      "TRUST_ANCHORS",
      "IDENTITY_DIR",
      "TOKEN_FILE",
    ]) {
      assert.ok(text.includes(what), `${what} is not mentioned in:\n${text}`);
    }
    assert.equal(loaded.problems.length, 8);
  });

  const oneProblem: readonly (readonly [string, Readonly<Record<string, string | undefined>>, RegExp])[] = [
    [
      "a name without an address",
      { DESTINATION_SVC_ADDR: undefined, DESTINATION_SVC_NAME: "d.linkerd" },
      /_ADDR and .*_NAME must be specified together/,
    ],
    [
      "a distant address without a name",
      { POLICY_SVC_ADDR: "policy.linkerd:8090" },
      /_NAME must be specified together/,
    ],
    ["an address that cannot be read, and no name", { POLICY_SVC_ADDR: "policy" }, /is missing a port/],
    [
      "localhost without its dot, which is not loopback",
      { POLICY_SVC_ADDR: "localhost:8090" },
      /must be specified together/,
    ],
    [
      "stream limits out of order",
      { CONTROL_STREAM_INITIAL_TIMEOUT: "2s", CONTROL_STREAM_IDLE_TIMEOUT: "1s" },
      /INITIAL <= IDLE <= LIFETIME/,
    ],
    [
      "a first message later than the stream lives",
      { CONTROL_STREAM_INITIAL_TIMEOUT: "2s", CONTROL_STREAM_LIFETIME: "1s" },
      /INITIAL <= IDLE <= LIFETIME/,
    ],
    [
      "a cluster policy without networks",
      { INBOUND_DEFAULT_POLICY: "cluster-authenticated" },
      /CLUSTER_NETWORKS names no networks/,
    ],
    ["an unknown policy", { INBOUND_DEFAULT_POLICY: "open" }, /expected one of deny, all-authenticated/],
    ["half a backoff", { INBOUND_CONNECT_EXP_BACKOFF_MIN: "1s" }, /MIN="1s" is not valid: it is set alone/],
    ["jitter alone", { INBOUND_CONNECT_EXP_BACKOFF_JITTER: "1" }, /it is set alone/],
    [
      "a backoff upside down",
      { OUTBOUND_CONNECT_EXP_BACKOFF_MIN: "2s", OUTBOUND_CONNECT_EXP_BACKOFF_MAX: "1s" },
      /above the longest pause/,
    ],
    [
      "too much jitter",
      {
        OUTBOUND_CONNECT_EXP_BACKOFF_MIN: "1s",
        OUTBOUND_CONNECT_EXP_BACKOFF_MAX: "1s",
        OUTBOUND_CONNECT_EXP_BACKOFF_JITTER: "101",
      },
      /out of range/,
    ],
    [
      "a backoff of nothing",
      { OUTBOUND_CONNECT_EXP_BACKOFF_MIN: "0", OUTBOUND_CONNECT_EXP_BACKOFF_MAX: "0" },
      /longest pause is zero/,
    ],
    ["an identity directory that is none", { IDENTITY_DIR: "/nowhere" }, /not a directory/],
    ["an empty token", { IDENTITY_TOKEN_FILE: "/empty" }, /the file is empty/],
    ["a token that cannot be read", { IDENTITY_TOKEN_FILE: "/gone" }, /cannot be read/],
    ["empty trust anchors", { IDENTITY_TRUST_ANCHORS: "" }, /it is empty/],
    ["disabled identity", { IDENTITY_DISABLED: "1" }, /identity cannot be disabled/],
    [
      "an id that differs from the server name",
      { IDENTITY_LOCAL_NAME: undefined, IDENTITY_SERVER_ID: "a.b", IDENTITY_SERVER_NAME: "a.c" },
      /TLS Id and server name to be the same/,
    ],
    [
      "a URI as id",
      { IDENTITY_LOCAL_NAME: undefined, IDENTITY_SERVER_ID: "spiffe://a/b", IDENTITY_SERVER_NAME: "a.c" },
      /TLS Id and server name to be the same/,
    ],
    [
      "an id without a server name",
      { IDENTITY_LOCAL_NAME: undefined, IDENTITY_SERVER_ID: "a.b" },
      /SERVER_NAME must be set/,
    ],
    ["an empty set of own addresses", { INBOUND_IPS: "" }, /INBOUND_IPS="" is not valid/],
    [
      "two forwards on one address",
      { OUTRIGGER_FORWARD: "127.0.0.1:1=a.b:1,127.0.0.1:1=a.b:2" },
      /listed twice/,
    ],
  ];
  for (const [what, changes, expected] of oneProblem) {
    it(`refuses ${what}`, () => {
      const problems = problemsWith(changes);
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", expected);
    });
  }

  it("ignores a controller's name on loopback, where nothing proves it", () => {
    assert.equal(configWith({ POLICY_SVC_NAME: "p.linkerd" }).control.policy.name, undefined);
  });

  it("accepts the audit policy without cluster networks", () => {
    assert.equal(configWith({ INBOUND_DEFAULT_POLICY: "audit" }).inbound.defaultPolicy, "audit");
  });

  it("keeps informational headers out in ingress mode unless told otherwise", () => {
    assert.equal(configWith({ INGRESS_MODE: "true" }).outbound.informationalHeaders, false);
    const told = configWith({ INGRESS_MODE: "true", OUTBOUND_DISABLE_INFORMATIONAL_HEADERS: "false" });
    assert.equal(told.outbound.informationalHeaders, true);
  });

  it("takes server windows only as a pair", () => {
    const one = configWith({ INBOUND_SERVER_HTTP2_INITIAL_STREAM_WINDOW_SIZE: "1" });
    assert.deepEqual(one.inbound.http2Server.flowControl, {
      kind: "fixed",
      streamWindow: 65_535,
      connectionWindow: 1_048_576,
    });
    const adaptive = configWith({ INBOUND_SERVER_HTTP2_ADAPTIVE_FLOW_CONTROL: "true" });
    assert.deepEqual(adaptive.inbound.http2Server.flowControl, { kind: "adaptive" });
  });

  it("warns of an open default and of an access log it cannot write", () => {
    const { warnings, inbound } = configWith({ ACCESS_LOG: "xml" });
    assert.equal(inbound.accessLog, "off");
    assert.equal(warnings.length, 2);
    assert.match(warnings.join("\n"), /DEFAULT_POLICY is not set[\s\S]*ACCESS_LOG="xml" is ignored/);
  });

  it("has a tap server only where it is told who may tap, and looks at its address in any case", () => {
    assert.equal(configWith().tap, undefined);
    const { tap } = configWith({
      TAP_SVC_NAME: "tap.linkerd-viz.serviceaccount.identity.linkerd.cluster.local",
    });
    assert.equal(tap?.service.text, "tap.linkerd-viz.serviceaccount.identity.linkerd.cluster.local");
    assert.equal(`${tap.listen.ip.text}:${tap.listen.port}`, "0.0.0.0:4190");
    assert.match(problemsWith({ TAP_SVC_NAME: "tap." }).join(), /TAP_SVC_NAME="tap\." is not valid/);
    assert.match(
      problemsWith({ CONTROL_LISTEN_ADDR: "4190" }).join(),
      /CONTROL_LISTEN_ADDR="4190" is not valid/,
    );
  });

  it("switches logging off only for the whole word", () => {
    assert.equal(configWith({ LOG: " OFF " }).log.filter, undefined);
    assert.equal(configWith({ LOG: "off,linkerd=info" }).log.filter, "off,linkerd=info");
    assert.equal(configWith({ LOG_FORMAT: " Json " }).log.format, "json");
  });

  it("cuts long values in problem texts", () => {
    const [problem = ""] = problemsWith({ INBOUND_IPS: "x".repeat(10_000) });
    assert.ok(problem.length < 500, problem);
  });

  it("calls itself what package.json says", () => {
    const manifest: unknown = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    );
    assert.equal((manifest as { version: string }).version, BUILD.version);
  });
});
