import assert from "node:assert/strict";
import { test } from "node:test";
import { Stalls } from "../../bench/load/stalls.ts";
import { TailWindows } from "../../bench/load/tail-windows.ts";

function recordAll(windows: TailWindows, count: number, milliseconds: (i: number) => number): void {
  for (let i = 1; i <= count; i++) windows.record(milliseconds(i));
}

test("of each 200 requests the slowest but two is the p99, and what is not full does not count", () => {
  const windows = new TailWindows();
  recordAll(windows, 200, (i) => i / 1000);
  windows.endStretch(false);
  assert.deepEqual(windows.p99Micros, [198]);
  recordAll(windows, 199, (i) => (i <= 2 ? 90 : 0.5));
  windows.endStretch(false);
  assert.deepEqual(windows.p99Micros, [198]);
  windows.record(0.5);
  windows.endStretch(false);
  assert.deepEqual(windows.p99Micros, [198, 500]);
});

test("what is answered in a stretch with a stall, and in the next, is left out, and nothing else", () => {
  const windows = new TailWindows();
  recordAll(windows, 100, () => 1);
  windows.endStretch(false);
  recordAll(windows, 100, () => 80);
  windows.endStretch(true);
  recordAll(windows, 100, () => 70);
  windows.endStretch(false);
  assert.deepEqual(windows.p99Micros, []);
  recordAll(windows, 100, () => 2);
  windows.endStretch(false);
  assert.deepEqual(windows.p99Micros, [2000]);
});

/** Turns as a loop does that never sleeps. @returns the first verdict. */
function spin(stalls: Stalls, during: () => void = () => {}): "quiet" | "stalled" {
  during();
  for (;;) {
    const stretch = stalls.look(performance.now());
    if (stretch !== undefined) return stretch;
  }
}

test("a thread that was kept from running notices", () => {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < 5; i++) {
    assert.equal(
      spin(new Stalls(performance.now()), () => Atomics.wait(cell, 0, 0, 1)),
      "stalled",
    );
  }
});

test("a thread that works is not stalled, however long it takes", () => {
  // On a machine that others use as well, one of many stretches goes undisturbed.
  const deadlineMs = performance.now() + 10_000;
  let quiet = false;
  while (!quiet && performance.now() < deadlineMs) {
    const untilMs = performance.now() + 3;
    quiet =
      spin(new Stalls(performance.now()), () => {
        while (performance.now() < untilMs);
      }) === "quiet";
  }
  assert.ok(quiet);
});
