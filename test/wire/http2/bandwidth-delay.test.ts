import assert from "node:assert/strict";
import { test } from "node:test";
import { BandwidthDelay } from "../../../src/wire/http2/bandwidth-delay.ts";

const MIB = 1024 * 1024;

/** One round trip that brings `bytes`; returns the window after it. */
function sample(estimate: BandwidthDelay, bytes: number, startMs: number, roundTripMs: number): number {
  assert.equal(estimate.receive(bytes, startMs), true, "a PING is due");
  estimate.answered(startMs + roundTripMs);
  return estimate.windowBytes;
}

const FIRST_SAMPLES: readonly [what: string, bytes: number, windowBytes: number][] = [
  ["nothing like the window", 1_000, 65_535],
  ["less than two thirds of it", 43_689, 65_535],
  ["two thirds of it", 43_690, 87_380],
  ["all of it", 65_535, 131_070],
  ["half of the largest", 8 * MIB, 16 * MIB],
  ["more than the largest", 20 * MIB, 16 * MIB],
];

for (const [what, bytes, windowBytes] of FIRST_SAMPLES) {
  test(`a round trip that brings ${what} makes the window ${windowBytes}`, () => {
    assert.equal(sample(new BandwidthDelay(), bytes, 0, 50), windowBytes);
  });
}

test("what comes between the PING and its answer counts, and nothing in the pause after it", () => {
  const estimate = new BandwidthDelay();
  assert.equal(estimate.receive(20_000, 0), true);
  assert.equal(estimate.receive(20_000, 1), false);
  assert.equal(estimate.receive(20_000, 2), false);
  assert.equal(estimate.answered(50), true);
  assert.equal(estimate.windowBytes, 120_000);
  assert.equal(estimate.receive(500_000, 51), false);
  assert.equal(estimate.receive(1, 100), true);
  assert.equal(estimate.answered(150), false);
  assert.equal(estimate.windowBytes, 120_000);
});

test("an answer that nobody asked for does nothing", () => {
  const estimate = new BandwidthDelay();
  assert.equal(estimate.answered(10), false);
  estimate.receive(65_535, 20);
  assert.equal(estimate.answered(70), true);
  assert.equal(estimate.answered(71), false);
  assert.equal(estimate.windowBytes, 131_070);
});

test("a sample at a lower rate than before changes nothing, however much it brings", () => {
  const estimate = new BandwidthDelay();
  sample(estimate, 60_000, 0, 10);
  // The average round trip is 10 + (500 - 10) / 8 = 71.25: 6,000 bytes a millisecond before, 1,684 now.
  assert.equal(sample(estimate, 120_000, 1_000, 500), 120_000);
});

test("round trips are averaged, so that a single quick answer does not make a rate", () => {
  const estimate = new BandwidthDelay();
  sample(estimate, 60_000, 0, 80);
  // 750 bytes a millisecond are the rate to keep up with. 80 + (0.1 - 80) / 8 = 70: 50,000 bytes are 714, not 500,000.
  assert.equal(sample(estimate, 50_000, 1_000, 0.1), 120_000);
});

test("an answer within the same instant is an answer after the shortest time there is", () => {
  const estimate = new BandwidthDelay();
  assert.equal(sample(estimate, 60_000, 5, 0), 120_000);
  assert.equal(sample(estimate, 120_000, 1_000, 0), 240_000);
});

/** Instants at which samples begin if DATA of `bytes` comes every millisecond until `endMs`, each answered after 10 ms. */
function sampleTimes(estimate: BandwidthDelay, bytes: () => number, endMs: number): number[] {
  const times: number[] = [];
  for (let ms = 0; ms < endMs; ms++) {
    if (times.at(-1) === ms - 10) estimate.answered(ms);
    if (estimate.receive(bytes(), ms)) times.push(ms);
  }
  return times;
}

test("where nothing changes samples become rare: a pause of 100 ms grows fourfold with every second, beyond 10 s", () => {
  const times = sampleTimes(new BandwidthDelay(), () => 1, 100_000);
  const pauses = times.slice(1).map((ms, i) => ms - 10 - (times[i] ?? 0));
  assert.deepEqual(pauses, [100, 400, 400, 1_600, 1_600, 6_400, 6_400, 25_600, 25_600, 25_600]);
});

test("while the window grows pauses are halved, down to 10 ms; at the largest window there are no more samples", () => {
  const estimate = new BandwidthDelay();
  const times = sampleTimes(estimate, () => estimate.windowBytes / 8, 60_000);
  const pauses = times.slice(1).map((ms, i) => ms - 10 - (times[i] ?? 0));
  assert.equal(estimate.windowBytes, 16 * MIB);
  assert.ok(times.length <= 10, `${times.length} samples`);
  assert.ok(pauses.every((ms) => ms >= 10));
  assert.ok(pauses.at(-1) === 10, pauses.join());
});

/** A sender that always has data, behind a link of `bytesPerMs` and `oneWayMs`, and a receiver that credits at once. */
function simulate(
  bytesPerMs: number,
  oneWayMs: number,
  forMs: number,
): { windowBytes: number; pings: number; lastSecondBytes: number } {
  const estimate = new BandwidthDelay();
  /** What the sender may send, and when more becomes known to it. */
  let window = estimate.windowBytes;
  let granted = window;
  const credits: [atMs: number, bytes: number][] = [];
  const arrivals: [atMs: number, bytes: number][] = [];
  let answerAtMs = Number.POSITIVE_INFINITY;
  let [pings, lastSecondBytes] = [0, 0];
  for (let ms = 0; ms < forMs; ms++) {
    for (let next = credits[0]; next !== undefined && next[0] <= ms; next = credits[0]) {
      window += next[1];
      credits.shift();
    }
    const sent = Math.min(window, bytesPerMs);
    window -= sent;
    if (sent > 0) arrivals.push([ms + oneWayMs, sent]);
    if (ms >= answerAtMs) {
      answerAtMs = Number.POSITIVE_INFINITY;
      if (estimate.answered(ms)) {
        credits.push([ms + oneWayMs, estimate.windowBytes - granted]);
        granted = estimate.windowBytes;
      }
    }
    for (let next = arrivals[0]; next !== undefined && next[0] <= ms; next = arrivals[0]) {
      arrivals.shift();
      if (ms >= forMs - 1_000) lastSecondBytes += next[1];
      if (estimate.receive(next[1], ms)) {
        pings++;
        answerAtMs = ms + 2 * oneWayMs;
      }
      credits.push([ms + oneWayMs, next[1]]);
    }
  }
  return { windowBytes: estimate.windowBytes, pings, lastSecondBytes };
}

const LINKS: readonly [bytesPerMs: number, oneWayMs: number][] = [
  [12_500, 5],
  [12_500, 40],
  [125_000, 25],
  [1_250, 100],
];

for (const [bytesPerMs, oneWayMs] of LINKS) {
  test(`a link of ${bytesPerMs / 125} Mbit/s with a round trip of ${2 * oneWayMs} ms is filled, by few PINGs`, () => {
    const product = bytesPerMs * 2 * oneWayMs;
    const { windowBytes, pings, lastSecondBytes } = simulate(bytesPerMs, oneWayMs, 20_000);
    assert.ok(windowBytes >= Math.min(product, 16 * MIB), `${windowBytes} bytes for ${product} under way`);
    assert.ok(windowBytes <= Math.max(65_535, 4 * product), `${windowBytes} bytes for ${product} under way`);
    assert.ok(lastSecondBytes >= 0.95 * 1_000 * bytesPerMs, `${lastSecondBytes} of ${1_000 * bytesPerMs}`);
    assert.ok(pings <= 30, `${pings} PINGs`);
  });
}
