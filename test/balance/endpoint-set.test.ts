import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { EndpointSet, type Located, type LocatedUpdate } from "../../src/balance/endpoint-set.ts";
import type { EndpointMetadata, EndpointUpdate } from "../../src/policy/endpoint.ts";
import { sameMetadata } from "../../src/policy/same-metadata.ts";

function addr(text: string): SocketAddr {
  const result = parseSocketAddr(text);
  assert.ok(result.ok);
  return result.value;
}

const A = "192.0.2.1:80";
const B = "192.0.2.1:81";
const C = "[2001:db8::1]:80";
const at = (key: string, metadata: string): Located<string> => ({ addr: addr(key), metadata });
const make = (): EndpointSet<string> => new EndpointSet((a, b) => a === b);

/** The keys of a change: added, changed, removed. */
function keys(set: EndpointSet<string>, update: LocatedUpdate<string>): readonly (readonly string[])[] {
  const { added, changed, removed } = set.apply(update);
  return [added.map(([key]) => key), changed.map(([key]) => key), removed];
}

test("adding tells new from changed from known", () => {
  const set = make();
  assert.deepEqual(keys(set, { kind: "add", endpoints: [at(A, "1"), at(C, "1")] }), [[A, C], [], []]);
  assert.deepEqual(keys(set, { kind: "add", endpoints: [at(A, "1"), at(C, "2"), at(B, "1")] }), [
    [B],
    [C],
    [],
  ]);
  assert.equal(set.get(C)?.metadata, "2");
  assert.equal(set.size, 3);
});

test("a reset keeps what is unchanged and removes what is not named", () => {
  const set = make();
  set.apply({ kind: "add", endpoints: [at(A, "1"), at(B, "1")] });
  assert.deepEqual(keys(set, { kind: "reset", endpoints: [at(B, "1"), at(C, "1")] }), [[C], [], [A]]);
  assert.deepEqual(keys(set, { kind: "reset", endpoints: [at(B, "2"), at(C, "1")] }), [[], [B], []]);
  assert.deepEqual(keys(set, { kind: "reset", endpoints: [] }), [[], [], [B, C]]);
  assert.equal(set.size, 0);
});

test("removing what is unknown tells nothing", () => {
  const set = make();
  set.apply({ kind: "add", endpoints: [at(A, "1")] });
  assert.deepEqual(keys(set, { kind: "remove", addrs: [addr(B), addr(A), addr(A)] }), [[], [], [A]]);
});

test("of two entries for one address in an update the later counts", () => {
  const set = make();
  const { added } = set.apply({ kind: "add", endpoints: [at(A, "1"), at(A, "2")] });
  assert.deepEqual(
    added.map(([, e]) => e.metadata),
    ["2"],
  );
});

test("an IPv4-mapped address is the same endpoint", () => {
  const set = make();
  set.apply({ kind: "add", endpoints: [at(A, "1")] });
  assert.deepEqual(keys(set, { kind: "add", endpoints: [at("[::ffff:192.0.2.1]:80", "1")] }), [[], [], []]);
});

test("takes the updates of discovery as they are", () => {
  const set = new EndpointSet<EndpointMetadata>(sameMetadata);
  const update: EndpointUpdate = { kind: "remove", addrs: [addr(A)] };
  assert.deepEqual(set.apply(update).removed, []);
});
