import assert from "node:assert/strict";
import { test } from "node:test";
import { AbuseCounts, LeakyCount, ResetSample } from "../../../src/wire/http2/abuse.ts";

test("a leaky count takes its limit at once, and its rate for ever", () => {
  const count = new LeakyCount(10, 2);
  for (let i = 0; i < 10; i++) assert.equal(count.add(0), true);
  assert.equal(count.add(0), false);
  const slow = new LeakyCount(10, 2);
  for (let i = 0; i < 1000; i++) assert.equal(slow.add(i * 500), true);
});

test("more than half of the last 500 streams may not be reset soon", () => {
  const sample = new ResetSample();
  const opened = Array.from({ length: 500 }, () => sample.open());
  for (let i = 0; i < 250; i++) assert.equal(sample.reset(opened[i] ?? 0, 0, 1000), true);
  assert.equal(sample.reset(opened[250] ?? 0, 0, 1000), false);
});

test("resets of streams that left the sample, and late ones, do not count", () => {
  const sample = new ResetSample();
  const early = Array.from({ length: 400 }, () => sample.open());
  for (const number of early.slice(0, 250)) assert.equal(sample.reset(number, 0, 0), true);
  for (let i = 0; i < 500; i++) sample.open();
  for (const number of early) assert.equal(sample.reset(number, 0, 0), true);
  const last = Array.from({ length: 300 }, () => sample.open());
  for (const number of last) assert.equal(sample.reset(number, 0, 1001), true);
  for (const number of last.slice(0, 250)) assert.equal(sample.reset(number, 0, 1000), true);
  assert.equal(sample.reset(last[250] ?? 0, 0, 1000), false);
});

test("empty DATA is counted in a row and in total", () => {
  const row = new AbuseCounts();
  for (let i = 0; i < 100; i++) assert.equal(row.emptyData(0), true);
  assert.equal(row.emptyData(0), false);
  const total = new AbuseCounts();
  for (let i = 0; i < 1000; i++) {
    assert.equal(total.emptyData(0), true);
    total.fullData();
  }
  assert.equal(total.emptyData(0), false);
});

test("SETTINGS and stream errors have limits of their own", () => {
  const abuse = new AbuseCounts();
  for (let i = 0; i < 1000; i++) assert.equal(abuse.settings(0), true);
  assert.equal(abuse.settings(0), false);
  for (let i = 0; i < 1024; i++) assert.equal(abuse.streamError(0), true);
  assert.equal(abuse.streamError(0), false);
});
