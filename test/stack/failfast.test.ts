import assert from "node:assert/strict";
import { test } from "node:test";
import { Failfast } from "../../src/stack/failfast.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("waits once, however many ask, and shuts when the first has waited long enough", () => {
  const clock = new FakeClock();
  const states: string[] = [];
  const failfast: Failfast = new Failfast(clock, 1000, () => states.push(failfast.state));
  failfast.wait();
  clock.advance(600);
  failfast.wait();
  assert.equal(failfast.state, "waiting");
  clock.advance(400);
  assert.deepEqual(states, ["failfast"]);
  failfast.wait();
  assert.equal(clock.timers, 0, "nobody waits in failfast");
});

test("readiness clears the timer in every state, and opens the gate only if it was shut", () => {
  const clock = new FakeClock();
  const gate: boolean[] = [];
  const failfast = new Failfast(
    clock,
    1000,
    () => undefined,
    (isOpen) => gate.push(isOpen),
  );
  failfast.ready();
  failfast.wait();
  failfast.ready();
  clock.advance(5000);
  assert.deepEqual(gate, []);
  failfast.wait();
  clock.advance(1000);
  failfast.ready();
  failfast.ready();
  assert.deepEqual(gate, [false, true]);
  assert.equal(failfast.state, "normal");
});

test("once closed, nothing happens any more", () => {
  const clock = new FakeClock();
  const failfast = new Failfast(clock, 1000, () => assert.fail("closed"));
  failfast.wait();
  failfast.close();
  clock.advance(5000);
  assert.equal(clock.timers, 0);
});
