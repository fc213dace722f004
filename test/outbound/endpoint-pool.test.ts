import assert from "node:assert/strict";
import { test } from "node:test";
import type { Located } from "../../src/balance/endpoint-set.ts";
import { EndpointPool, type PooledEndpoint } from "../../src/outbound/endpoint-pool.ts";
import { NO_METADATA, type EndpointMetadata } from "../../src/policy/endpoint.ts";
import { addr } from "./scripted.ts";

class FakeEndpoint implements PooledEndpoint {
  ready = false;
  closed = false;
  readonly metadata: EndpointMetadata;
  readonly #changed: () => void;

  constructor({ metadata }: Located<EndpointMetadata>, changed: () => void) {
    this.metadata = metadata;
    this.#changed = changed;
  }
  become(ready: boolean): void {
    this.ready = ready;
    this.#changed();
  }
  load(): number {
    return 1;
  }
  close(): void {
    this.closed = true;
  }
}

function poolOf(): { pool: EndpointPool<FakeEndpoint>; made: FakeEndpoint[]; readied: () => number } {
  const made: FakeEndpoint[] = [];
  let readied = 0;
  const pool = new EndpointPool<FakeEndpoint>(
    (located, changed) => {
      const endpoint = new FakeEndpoint(located, changed);
      made.push(endpoint);
      return endpoint;
    },
    () => 0.5,
    () => readied++,
  );
  return { pool, made, readied: () => readied };
}

const AT = addr("192.0.2.1:80");
const CHANGED: EndpointMetadata = { ...NO_METADATA, protocolHint: "h2" };

test("an endpoint is picked while it is ready, and waiters are told when it is", () => {
  const { pool, made, readied } = poolOf();
  pool.apply({ kind: "add", endpoints: [{ addr: AT, metadata: NO_METADATA }] });
  assert.deepEqual([pool.size, pool.readyCount, pool.pick(0)], [1, 0, undefined]);
  made[0]?.become(true);
  assert.equal(readied(), 1);
  assert.equal(pool.pick(0), made[0]);
  made[0]?.become(false);
  assert.equal(pool.pick(0), undefined);
});

test("an endpoint whose metadata changed serves on until its successor is ready", () => {
  const { pool, made } = poolOf();
  pool.apply({ kind: "add", endpoints: [{ addr: AT, metadata: NO_METADATA }] });
  made[0]?.become(true);
  pool.apply({ kind: "add", endpoints: [{ addr: AT, metadata: CHANGED }] });
  assert.equal(pool.pick(0), made[0]);
  assert.equal(made[0]?.closed, false);
  made[1]?.become(true);
  assert.equal(pool.pick(0), made[1]);
  assert.equal(made[0]?.closed, true);
  assert.equal(pool.readyCount, 1);
});

test("a second change replaces a successor that never became ready", () => {
  const { pool, made } = poolOf();
  pool.apply({ kind: "add", endpoints: [{ addr: AT, metadata: NO_METADATA }] });
  made[0]?.become(true);
  pool.apply({ kind: "add", endpoints: [{ addr: AT, metadata: CHANGED }] });
  pool.apply({ kind: "add", endpoints: [{ addr: AT, metadata: { ...CHANGED, zoneLocality: "local" } }] });
  assert.deepEqual(
    made.map(({ closed }) => closed),
    [false, true, false],
  );
  made[1]?.become(true);
  assert.equal(pool.pick(0), made[0]);
});

test("a removed endpoint is closed at once, and what it says later changes nothing", () => {
  const { pool, made } = poolOf();
  pool.apply({ kind: "reset", endpoints: [{ addr: AT, metadata: NO_METADATA }] });
  made[0]?.become(true);
  pool.apply({ kind: "remove", addrs: [AT] });
  assert.deepEqual([made[0]?.closed, pool.size, pool.pick(0)], [true, 0, undefined]);
  made[0]?.become(true);
  assert.equal(pool.pick(0), undefined);
});
