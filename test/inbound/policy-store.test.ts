import assert from "node:assert/strict";
import { test } from "node:test";
import type { ControlPlane } from "../../src/control/control-plane.ts";
import { PolicyStore } from "../../src/inbound/policy-store.ts";
import { defaultServerPolicy } from "../../src/policy/default-policies.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { FakeClock } from "../support/fake-clock.ts";

const policies = { detectTimeoutMs: 10_000, clusterNetworks: [] };
const DENY = defaultServerPolicy("deny", policies);
const OPEN = defaultServerPolicy("all-unauthenticated", policies);
const IDLE_MS = 90_000;

function setUp(permanentPorts: readonly { low: number; high: number }[] = []) {
  const clock = new FakeClock();
  const watched: {
    readonly port: number;
    readonly cell: WatchCell<ServerPolicy>;
    readonly signal: AbortSignal;
  }[] = [];
  const control: Pick<ControlPlane, "watchServerPolicy"> = {
    watchServerPolicy: (port, initial, signal) => {
      const cell = new WatchCell(initial);
      watched.push({ port, cell, signal });
      return cell;
    },
  };
  const store = new PolicyStore({
    clock,
    // The store asks for server policies only.
    control: control as ControlPlane,
    defaultPolicy: () => DENY,
    permanentPorts,
    idleTimeoutMs: IDLE_MS,
  });
  return { clock, store, watched };
}

test("the default policy holds until the control plane has spoken, and what it says then holds at once", () => {
  const { store, watched } = setUp();
  const held = store.acquire(80);
  assert.equal(held.value.policy.value.policy, DENY);
  watched[0]?.cell.publish(OPEN);
  assert.equal(held.value.policy.value.policy, OPEN);
});

test("connections to a port share its watch, which ends when none was there for the idle time", () => {
  const { clock, store, watched } = setUp();
  const [one, two] = [store.acquire(80), store.acquire(80)];
  assert.equal(watched.length, 1);
  one.release();
  two.release();
  clock.advance(IDLE_MS - 1);
  assert.equal(watched[0]?.signal.aborted, false);
  clock.advance(1);
  assert.equal(watched[0]?.signal.aborted, true);
  assert.equal(clock.timers, 0);
});

test("permanent ports are watched from the start and for ever", () => {
  const { clock, store, watched } = setUp([{ low: 8080, high: 8081 }]);
  assert.deepEqual(
    watched.map(({ port }) => port),
    [8080, 8081],
  );
  store.acquire(8080).release();
  clock.advance(IDLE_MS * 2);
  assert.equal(watched[0]?.signal.aborted, false);
});

test("strangers that name thousands of ports do not keep thousands of watches", () => {
  const { store, watched } = setUp();
  for (let port = 1; port <= 5_000; port++) store.acquire(port).release();
  assert.ok(watched.filter(({ signal }) => !signal.aborted).length <= 1024);
});
