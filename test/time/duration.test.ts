import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "../../src/time/duration.ts";

test("outbound 8.6: a duration is an integer with its unit", () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["0", 0],
    ["0ms", 0],
    ["15ms", 15],
    ["2s", 2_000],
    ["3m", 180_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    [" 10s\t", 10_000],
    ["10", undefined],
    ["1.5s", undefined],
    ["-1s", undefined],
    ["1 s", undefined],
    ["1S", undefined],
    ["s", undefined],
    ["", undefined],
    ["99999999999999999999d", undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test("a duration is shown as messages have it", () => {
  assert.deepEqual([0, 250, 1_000, 1_500].map(formatDuration), ["0ms", "250ms", "1s", "1.5s"]);
});
