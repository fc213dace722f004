import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { NO_METADATA, type EndpointMetadata } from "../../src/policy/endpoint.ts";
import { sameMetadata } from "../../src/policy/same-metadata.ts";

const name = parseDnsName("web.local");
assert.ok(name.ok);

/** A metadata record in which everything is set, made anew each time. */
function full(): EndpointMetadata {
  assert.ok(name.ok);
  return {
    identity: { kind: "mesh", serverId: { kind: "dns", text: "web.local" }, serverName: name.value },
    protocolHint: "h2",
    taggedTransportPort: 4143,
    authorityOverride: "gateway:80",
    http2: {
      flowControl: { kind: "fixed", streamWindow: 1, connectionWindow: 2 },
      keepAlive: { intervalMs: 1, timeoutMs: 2, whileIdle: true },
      maxConcurrentResetStreams: 1,
      maxFrameSize: 2,
      maxSendBufferSize: 3,
    },
    labels: [
      ["pod", "a"],
      ["zone", "b"],
    ],
    zoneLocality: "local",
  };
}

const http2 = full().http2;
assert.ok(http2 !== undefined);
const changes: readonly Partial<EndpointMetadata>[] = [
  { identity: { kind: "none" } },
  { identity: { kind: "invalid", problem: "x" } },
  { identity: { kind: "mesh", serverId: { kind: "uri", text: "web.local" }, serverName: name.value } },
  { identity: { kind: "mesh", serverId: { kind: "dns", text: "api.local" }, serverName: name.value } },
  { protocolHint: "opaque" },
  { taggedTransportPort: undefined },
  { authorityOverride: "gateway:81" },
  { http2: undefined },
  { http2: { ...http2, flowControl: { kind: "adaptive" } } },
  { http2: { ...http2, flowControl: undefined } },
  { http2: { ...http2, flowControl: { kind: "fixed", streamWindow: 1, connectionWindow: 3 } } },
  { http2: { ...http2, keepAlive: undefined } },
  { http2: { ...http2, keepAlive: { intervalMs: 1, timeoutMs: 2, whileIdle: false } } },
  { http2: { ...http2, maxConcurrentResetStreams: 2 } },
  { http2: { ...http2, maxFrameSize: 1 } },
  { http2: { ...http2, maxSendBufferSize: undefined } },
  { labels: [["pod", "a"]] },
  {
    labels: [
      ["pod", "a"],
      ["zone", "c"],
    ],
  },
  {
    labels: [
      ["pod", "a"],
      ["area", "b"],
    ],
  },
  { zoneLocality: "remote" },
];

test("equal values are the same", () => {
  assert.ok(sameMetadata(full(), full()));
  assert.ok(sameMetadata(NO_METADATA, { ...NO_METADATA, labels: [] }));
});

for (const change of changes) {
  test(`differs by ${JSON.stringify(change, (_, v: unknown) => v ?? null)}`, () => {
    assert.ok(!sameMetadata(full(), { ...full(), ...change }));
    assert.ok(!sameMetadata({ ...full(), ...change }, full()));
    assert.ok(sameMetadata({ ...full(), ...change }, { ...full(), ...change }));
  });
}
