import assert from "node:assert/strict";
import { test } from "node:test";
import { TailWindows } from "../../bench/load/tail-windows.ts";

test("of each 200 requests the slowest but two is the p99, and what is not full does not count", () => {
  const windows = new TailWindows();
  for (let i = 1; i <= 200; i++) windows.record(i / 1000);
  assert.deepEqual(windows.p99Micros, [198]);
  for (let i = 0; i < 199; i++) windows.record(i < 2 ? 90 : 0.5);
  assert.deepEqual(windows.p99Micros, [198]);
  windows.record(0.5);
  assert.deepEqual(windows.p99Micros, [198, 500]);
});
