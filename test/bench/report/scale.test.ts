import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  linearScale,
  logScale,
  percentileScale,
  timeScale,
  type Scale,
} from "../../../bench/report/scale.ts";

function texts({ ticks }: Scale): readonly string[] {
  return ticks.map(({ text }) => text);
}

/** Marks in their order, all on the axis, and not so many that their texts would touch. */
function assertUsable(scale: Scale, values: readonly number[]): void {
  const places = scale.ticks.map(({ value }) => scale.place(value));
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
  );
  assert.ok(places.length >= 2 && Math.abs(places.at(-1)! - 1) < 1e-9 && Math.abs(places[0]!) < 1e-9);
  for (const value of values) {
    const place = scale.place(value);
    assert.ok(place >= -1e-9 && place <= 1 + 1e-9, `${value} is at ${place}`);
  }
}

describe("scales", () => {
  it("marks round numbers from 0 on a linear axis", () => {
    assert.deepEqual(texts(linearScale(578)), ["0", "100", "200", "300", "400", "500", "600"]);
    assert.deepEqual(texts(linearScale(0.6)), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]);
    assert.deepEqual(texts(linearScale(30_000, 5)), ["0", "10,000", "20,000", "30,000"]);
  });

  it("has an axis also for zeros", () => assertUsable(linearScale(0), [0]));

  it("marks ones, twos and fives on a logarithmic axis", () => {
    assert.deepEqual(texts(logScale(61, 4_200)), ["50", "100", "200", "500", "1,000", "2,000", "5,000"]);
    assert.deepEqual(texts(logScale(0.09, 1.1)), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
  });

  it("has room for every value up to the largest", () => {
    const value = fc.double({ min: 1e-3, max: 1e9, noNaN: true });
    fc.assert(fc.property(value, (max) => assertUsable(linearScale(max), [0, max / 3, max])));
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [min, max] = [Math.min(a, b), Math.max(a, b)];
        assertUsable(logScale(min, max), [min, Math.sqrt(min * max), max]);
      }),
    );
    fc.assert(fc.property(value, (seconds) => assertUsable(timeScale(seconds), [0, seconds])));
  });

  it("gives each nine of a percentile the same room", () => {
    const scale = percentileScale(99.99);
    assert.deepEqual(texts(scale), ["0", "50", "90", "99", "99.9", "99.99"]);
    for (const [percentile, place] of [
      [0, 0],
      [90, 0.25],
      [99, 0.5],
      [99.9, 0.75],
      [99.99, 1],
    ] as const) {
      assert.ok(Math.abs(scale.place(percentile) - place) < 1e-9, `${percentile}`);
    }
  });

  it("ends at the percentile that the run can know", () => {
    assert.deepEqual(texts(percentileScale(99.7)), ["0", "50", "90", "99", "99.9"]);
    assert.deepEqual(texts(percentileScale(0)), ["0", "50", "90"]);
  });

  it("tells long times in minutes and hours", () => {
    assert.deepEqual(
      [timeScale(90).unit, timeScale(600).unit, timeScale(86_400).unit],
      [...["seconds", "minutes", "hours"]],
    );
    assert.deepEqual(texts(timeScale(600)), ["0", "2", "4", "6", "8", "10"]);
  });
});
