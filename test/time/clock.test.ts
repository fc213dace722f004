import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { beginRead, endRead, sleep, systemClock, wallMs } from "../../src/time/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("monotonic time goes on, wall time is since 1970", () => {
  const before = systemClock.nowMs();
  assert.ok(systemClock.nowMs() >= before);
  assert.ok(wallMs() > Date.UTC(2025, 0));
});

test("time stands still during a read, and goes on after it", () => {
  const waited = (ms: number): number => {
    const from = performance.now();
    while (performance.now() - from < ms);
    return systemClock.nowMs();
  };
  const before = systemClock.nowMs();
  beginRead();
  const at = systemClock.nowMs();
  assert.ok(at >= before);
  assert.equal(waited(2), at);
  endRead();
  assert.ok(waited(2) >= at + 2);
});

test("a timer fires once after its delay, and not after it was taken back", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let fired = 0;
    systemClock.after(100, () => fired++);
    const cancelled = systemClock.after(100, () => assert.fail("cancelled"));
    cancelled.cancel();
    cancelled.cancel();
    mock.timers.tick(99);
    assert.equal(fired, 0);
    mock.timers.tick(1000);
    assert.equal(fired, 1);
  } finally {
    mock.timers.reset();
  }
});

test("a delay beyond 32 bits neither fires at once nor early, and can be taken back in between", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const longest = 2 ** 31 - 1;
    let fired = 0;
    systemClock.after(longest + 500, () => fired++);
    const cancelled = systemClock.after(longest + 500, () => assert.fail("cancelled"));
    mock.timers.tick(longest);
    mock.timers.tick(499);
    assert.equal(fired, 0);
    cancelled.cancel();
    mock.timers.tick(1);
    assert.equal(fired, 1);
  } finally {
    mock.timers.reset();
  }
});

test("sleeping ends after the delay", async () => {
  const clock = new FakeClock();
  const woken = sleep(clock, 50);
  clock.advance(50);
  await woken;
  assert.equal(clock.timers, 0);
});

test("sleeping ends with the reason of the signal, and leaves no timer", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const reason = new Error("enough");
  const woken = sleep(clock, 50, controller.signal);
  controller.abort(reason);
  await assert.rejects(woken, reason);
  assert.equal(clock.timers, 0);
  await assert.rejects(sleep(clock, 50, controller.signal), reason);
  assert.equal(clock.timers, 0);
});

test("the fake clock fires what is due in order of time, also what is set on the way", () => {
  const clock = new FakeClock();
  const log: string[] = [];
  clock.after(20, () => log.push(`b@${clock.nowMs()}`));
  clock.after(10, () => {
    log.push(`a@${clock.nowMs()}`);
    clock.after(5, () => log.push(`c@${clock.nowMs()}`));
  });
  clock.after(31, () => log.push("never"));
  clock.advance(30);
  assert.deepEqual(log, ["a@10", "c@15", "b@20"]);
  assert.equal(clock.nowMs(), 30);
  assert.equal(clock.timers, 1);
});
