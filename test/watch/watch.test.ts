import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { WatchCell } from "../../src/watch/watch.ts";

test("the value of now is read, later ones are announced", () => {
  const cell = new WatchCell(1);
  const seen: number[] = [];
  cell.subscribe(new AbortController().signal, (value) => seen.push(value));
  assert.equal(cell.value, 1);
  cell.publish(2);
  cell.publish(2);
  assert.deepEqual(seen, [2, 2]);
  assert.equal(cell.value, 2);
});

test("a subscriber hears nothing after its signal, nor with one that is over already", () => {
  const cell = new WatchCell(1);
  const controller = new AbortController();
  const seen: number[] = [];
  cell.subscribe(controller.signal, (value) => seen.push(value));
  cell.publish(2);
  controller.abort();
  cell.publish(3);
  cell.subscribe(controller.signal, (value) => seen.push(value));
  cell.publish(4);
  assert.deepEqual(seen, [2]);
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
});

test("one function may subscribe twice and leaves one at a time", () => {
  const cell = new WatchCell(1);
  const first = new AbortController();
  const seen: number[] = [];
  const listen = (value: number): void => void seen.push(value);
  cell.subscribe(first.signal, listen);
  cell.subscribe(new AbortController().signal, listen);
  cell.publish(2);
  first.abort();
  cell.publish(3);
  assert.deepEqual(seen, [2, 2, 3]);
});

test("whoever leaves while others are told hears nothing more", () => {
  const cell = new WatchCell(1);
  const later = new AbortController();
  const seen: string[] = [];
  cell.subscribe(new AbortController().signal, () => {
    seen.push("first");
    later.abort();
  });
  cell.subscribe(later.signal, () => seen.push("second"));
  cell.publish(2);
  assert.deepEqual(seen, ["first"]);
});

test("a value published by a subscriber is the last that everybody hears", () => {
  const cell = new WatchCell(1);
  const signal = new AbortController().signal;
  const seen: number[] = [];
  cell.subscribe(signal, (value) => {
    if (value === 2) cell.publish(3);
  });
  cell.subscribe(signal, (value) => seen.push(value));
  cell.publish(2);
  assert.equal(cell.value, 3);
  assert.equal(seen.at(-1), 3);
});

test("a subscriber that throws keeps nobody else from hearing", () => {
  const cell = new WatchCell(1);
  const signal = new AbortController().signal;
  const seen: number[] = [];
  cell.subscribe(signal, () => {
    throw new Error("broken");
  });
  cell.subscribe(signal, (value) => seen.push(value));
  assert.throws(() => cell.publish(2), /broken/);
  assert.deepEqual(seen, [2]);
});
