import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Delivery } from "../../bench/scenarios/fleet.ts";
import { incidentsOf, type Incident } from "../../bench/scenarios/outbound-day-plan.ts";
import {
  brokenPromises,
  deliveredTooOften,
  laterShare,
  slowShare,
  type Failure,
  type OutboundDayResult,
} from "../../bench/scenarios/outbound-day-result.ts";
import { outboundDayText } from "../../bench/scenarios/outbound-day-text.ts";
import { outboundDay } from "../../bench/scenarios/outbound-day.ts";

/** Half of a second is left to look at the slow endpoint after the balancer had its two. */
const SHORT_SECONDS = 6;

describe("a day of an outbound proxy", { timeout: 60_000 }, () => {
  it("keeps its promises while endpoints leave, die, become slow and fail", async (t) => {
    // `npm run scenario -- outbound-day` takes five minutes.
    const result = await outboundDay({ seconds: SHORT_SECONDS }, () => {});
    t.diagnostic(outboundDayText(result));
    assert.deepEqual(brokenPromises(result), []);
    assert.ok(result.retries > 0, "an endpoint that fails is found out by reads that are tried again");
    assert.ok(result.deliveries > result.requests.read, "applications saw the requests");
    for (const { kind, after, cause } of result.failures) {
      assert.equal(kind, "order", `a read failed: ${cause}`);
      assert.ok(after === "killed" || after === "failing", `${cause} after ${after}`);
    }
  });
});

describe("the plan of a day", () => {
  it("has a round of four incidents each minute, each for another endpoint than the round before", () => {
    const incidents = incidentsOf(300);
    assert.equal(incidents.length, 20);
    assert.deepEqual(
      incidents.map(({ endpoint }) => endpoint),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(incidents[4], { kind: "removed", endpoint: 4, fromMs: 63_000, toMs: 70_000 });
  });

  it("never has two incidents at once, and ends after the last", () => {
    for (const seconds of [6, 59, 60, 119, 300]) {
      const incidents = incidentsOf(seconds);
      for (const [i, { fromMs, toMs }] of incidents.entries()) {
        assert.ok(fromMs < toMs && toMs < (incidents[i + 1]?.fromMs ?? seconds * 1000), `${seconds} s, ${i}`);
      }
    }
  });

  it("brings the incidents of a short day closer together", () => {
    assert.deepEqual(incidentsOf(6)[0], { kind: "removed", endpoint: 0, fromMs: 300, toMs: 1_000 });
  });
});

describe("the judgement of a day", () => {
  const good: OutboundDayResult = {
    seconds: 300,
    requests: { read: 48_000, order: 12_000 },
    failures: [],
    retries: 100,
    deliveries: 60_100,
    tooOften: [],
    incidents: [],
    slow: { windows: 1_000, touched: 3, deliveries: 20_000, toSlow: 3 },
  };
  const failures = (length: number): Failure[] =>
    Array.from({ length }, () => ({ kind: "order", after: "failing", cause: "503 of the application" }));

  it("finds nothing wrong with a good day, nor with one failure in a thousand", () => {
    assert.deepEqual(brokenPromises(good), []);
    assert.deepEqual(brokenPromises({ ...good, failures: failures(60) }), []);
  });

  for (const [name, result, problem] of [
    ["more failures", { ...good, failures: failures(61) }, /^success: 61 of 60000 /],
    [
      "a short day with more than a whole round may have",
      { ...good, requests: { read: 80, order: 20 }, failures: failures(13) },
      /^success: 13 of 100 /,
    ],
    [
      "a request that came too often",
      { ...good, tooOften: ["order order-5 came 2 times"] },
      /^sent again: order order-5 came 2 times/,
    ],
    [
      "2 % at the slow endpoint",
      { ...good, slow: { ...good.slow, toSlow: 400 } },
      /^slow endpoint: it got 2\.00 %/,
    ],
    [
      "nothing to see of the slow endpoint",
      { ...good, slow: { windows: 0, touched: 0, deliveries: 0, toSlow: 0 } },
      /^slow endpoint: too short/,
    ],
  ] as const) {
    it(`finds ${name}`, () => {
      const broken = brokenPromises(result);
      assert.equal(broken.length, 1);
      assert.match(broken[0] ?? "", problem);
    });
  }

  it("counts deliveries of each request: three of a read are allowed, two of an order are not", () => {
    const came = (id: string, length: number): Delivery[] =>
      Array.from({ length }, () => ({ atMs: 0, endpoint: 0, id }));
    const deliveries = [...came("r1", 3), ...came("r2", 4), ...came("o1", 1), ...came("o2", 2)];
    const kindOf = (id: string) => (id.startsWith("r") ? "read" : "order");
    assert.deepEqual(deliveredTooOften(deliveries, kindOf), [
      "read r2 came 4 times",
      "order o2 came 2 times",
    ]);
  });

  it("looks at the slow endpoint in windows of 100 ms from 2 s on", () => {
    const slow: Incident = { kind: "slow", endpoint: 7, fromMs: 10_000, toMs: 12_350 };
    const at = (atMs: number, endpoint: number): Delivery => ({ atMs, endpoint, id: "" });
    const deliveries = [
      at(11_999, 7), // it has not been noticed yet
      at(12_000, 7),
      at(12_050, 1),
      at(12_099, 7),
      at(12_100, 2),
      at(12_299, 7),
      at(12_300, 7), // no whole window
    ];
    const share = slowShare(deliveries, [slow]);
    assert.deepEqual(share, { windows: 3, touched: 2, deliveries: 5, toSlow: 3 });
    assert.equal(laterShare(deliveries, slow), 5 / 7);
  });
});
