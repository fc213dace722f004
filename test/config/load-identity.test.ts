import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { load } from "../../src/config/load.ts";
import type { Files } from "../../src/config/reader.ts";

const NO_FILES: Files = { isDirectory: () => false, size: () => undefined };

const P = "LINKERD2_PROXY_";
/** The least with which a proxy takes its identity from an agent: no directory, no token, no identity service. */
const LEAST: Readonly<Record<string, string>> = {
  DESTINATION_SVC_ADDR: "localhost.:8086",
  POLICY_SVC_ADDR: "localhost.:8090",
  POLICY_WORKLOAD: '{"ns":"mixed-env", "external_workload":"web"}',
  IDENTITY_TRUST_ANCHORS: "-----BEGIN CERTIFICATE-----",
  IDENTITY_SERVER_ID: "spiffe://root.linkerd.cluster.local/web",
  IDENTITY_SERVER_NAME: "web.cluster.local",
  IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: "unix:///run/spire/agent/api.sock",
};

/** Loads the least with changes; undefined unsets. */
function loadWith(changes: Readonly<Record<string, string | undefined>>) {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries({ ...LEAST, ...changes })) {
    if (value !== undefined) values.set(P + name, value);
  }
  return load((name) => values.get(name), NO_FILES);
}

function loaded(changes: Readonly<Record<string, string | undefined>> = {}) {
  const result = loadWith(changes);
  assert.ok(result.ok, result.ok ? "" : result.problems.join("\n"));
  const { identity, warnings } = result.config;
  assert.ok(identity.kind === "spire");
  return {
    identity,
    warnings: warnings.filter((w) => !w.includes("DEFAULT_POLICY")),
  };
}

describe("an identity from a SPIRE agent", () => {
  it("needs anchors, id and server name, and nothing of the identity service", () => {
    const { identity, warnings } = loaded();
    assert.deepEqual(identity, {
      kind: "spire",
      id: { kind: "uri", text: LEAST["IDENTITY_SERVER_ID"] },
      serverName: "web.cluster.local",
      trustAnchorsPem: "-----BEGIN CERTIFICATE-----",
      socketPath: "/run/spire/agent/api.sock",
      backoff: { minMs: 100, maxMs: 1000, jitter: 0.1 },
    });
    assert.deepEqual(warnings, []);
  });

  it("does not look at what only the identity service needs", () => {
    loaded({ IDENTITY_SVC_ADDR: "nonsense", IDENTITY_DIR: "/gone", IDENTITY_TOKEN_FILE: "" });
  });

  for (const [text, path] of [
    ["unix:///run/agent.sock", "/run/agent.sock"],
    ["unix:/run/agent.sock", "/run/agent.sock"],
    ["/run/agent.sock", "/run/agent.sock"],
    ["unix:run/agent.sock", "run/agent.sock"],
  ] as const) {
    it(`finds the socket of ${text}`, () => {
      assert.equal(loaded({ IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: text }).identity.socketPath, path);
    });
  }

  it("knows the address by its older name, and says that it is older", () => {
    const older = { IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: undefined, IDENTITY_SPIRE_SOCKET: "unix:///old" };
    const { identity, warnings } = loaded(older);
    assert.equal(identity.socketPath, "/old");
    assert.deepEqual(warnings, [
      "LINKERD2_PROXY_IDENTITY_SPIRE_SOCKET is deprecated: set LINKERD2_PROXY_IDENTITY_SPIRE_WORKLOAD_API_ADDRESS instead",
    ]);
  });

  it("prefers the newer name of the address", () => {
    const { identity, warnings } = loaded({ IDENTITY_SPIRE_SOCKET: "unix:///old" });
    assert.equal(identity.socketPath, "/run/spire/agent/api.sock");
    assert.deepEqual(warnings, []);
  });

  const single = { IDENTITY_SPIRE_EXP_BACKOFF_MIN: "1s", IDENTITY_SPIRE_EXP_BACKOFF_MAX: "2s" };
  const twice = {
    LINKERD2_PROXY_IDENTITY_SPIRE_EXP_BACKOFF_MIN: "3s",
    LINKERD2_PROXY_IDENTITY_SPIRE_EXP_BACKOFF_MAX: "4s",
    LINKERD2_PROXY_IDENTITY_SPIRE_EXP_BACKOFF_JITTER: "0.5",
  };
  it("takes its backoff by the name of it, and by the one with the doubled prefix", () => {
    assert.deepEqual(loaded(single).identity.backoff, { minMs: 1000, maxMs: 2000, jitter: 0 });
    assert.deepEqual(loaded(twice).identity.backoff, { minMs: 3000, maxMs: 4000, jitter: 0.5 });
    const both = loaded({ ...single, ...twice });
    assert.equal(both.identity.backoff.minMs, 3000);
    assert.match(
      both.warnings.join("\n"),
      /PROXY_IDENTITY_SPIRE_EXP_BACKOFF_MIN and its like have no effect/,
    );
  });

  const wrong: readonly (readonly [string, Readonly<Record<string, string | undefined>>, RegExp])[] = [
    [
      "a DNS identity",
      { IDENTITY_SERVER_ID: "web.cluster.local" },
      /SERVER_ID="web.cluster.local" is not valid: with .*WORKLOAD_API_ADDRESS the identity is a spiffe URI, expected spiffe:\/\/TRUST-DOMAIN\/PATH/,
    ],
    ["a URI of another scheme", { IDENTITY_SERVER_ID: "https://a/b" }, /the identity is a spiffe URI/],
    ["a URI without a trust domain", { IDENTITY_SERVER_ID: "spiffe:web" }, /the identity is a spiffe URI/],
    ["no id", { IDENTITY_SERVER_ID: undefined }, /IDENTITY_SERVER_ID must be set/],
    ["no server name", { IDENTITY_SERVER_NAME: undefined }, /IDENTITY_SERVER_NAME must be set/],
    [
      "a local name",
      { IDENTITY_LOCAL_NAME: "web.cluster.local" },
      /LOCAL_NAME="web.cluster.local" is not valid: with .*WORKLOAD_API_ADDRESS the identity is a spiffe URI, expected it to be unset, and .*SERVER_ID and .*SERVER_NAME in its place/,
    ],
    ["no trust anchors", { IDENTITY_TRUST_ANCHORS: undefined }, /IDENTITY_TRUST_ANCHORS must be set/],
    [
      "an empty address",
      { IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: "" },
      /API_ADDRESS="" is not valid: not the path/,
    ],
    [
      "an address without path",
      { IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: "unix:///" },
      /not the path of a socket/,
    ],
    [
      "an address that is no Unix socket",
      { IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: "tcp://127.0.0.1:8081" },
      /="tcp:\/\/127.0.0.1:8081" is not valid: not a Unix socket, expected the path of a Unix socket, such as unix:/,
    ],
    [
      "a path that no socket can have",
      { IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: `/${"x".repeat(107)}` },
      /a path of 108 bytes, more than the 107/,
    ],
    [
      "half a backoff",
      { IDENTITY_SPIRE_EXP_BACKOFF_MIN: "1s" },
      /SPIRE_EXP_BACKOFF_MIN="1s" is not valid: it is set alone/,
    ],
    [
      "half a backoff with the doubled prefix",
      { LINKERD2_PROXY_IDENTITY_SPIRE_EXP_BACKOFF_JITTER: "1" },
      /LINKERD2_PROXY_LINKERD2_PROXY_IDENTITY_SPIRE_EXP_BACKOFF_JITTER="1" is not valid: it is set alone/,
    ],
    ["disabled identity", { IDENTITY_DISABLED: "1" }, /identity cannot be disabled/],
  ];
  for (const [what, changes, problem] of wrong) {
    it(`is refused with ${what}`, () => {
      const result = loadWith(changes);
      assert.equal(result.ok, false);
      const problems = result.ok ? [] : result.problems;
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", problem);
    });
  }
});
