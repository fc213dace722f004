import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  brokenPromises,
  atMostRps,
  LIMIT_RPS,
  rateLimitText,
  type RateLimitResult,
} from "../../bench/scenarios/rate-limit-result.ts";
import { rateLimit } from "../../bench/scenarios/rate-limit.ts";

describe("clients that ask for more than a local rate limit gives", { timeout: 120_000 }, () => {
  it("ranked 13: get its burst and then its rate, each identity over each protocol, and are refused as the protocol has it", async (t) => {
    // `npm run scenario -- rate-limit` takes 30 seconds.
    const result = await rateLimit({ seconds: 3 });
    t.diagnostic(rateLimitText(result));
    assert.deepEqual(brokenPromises(result), []);
    assert.equal(result.served.length, 9);
  });
});

describe("the judgement of a rate", () => {
  const result = (admittedRps: number, rest: Partial<RateLimitResult> = {}): RateLimitResult => {
    const besidesBurstRps = admittedRps;
    const of = { identity: "anna", protocol: "HTTP/1", offered: 7500, burst: 100, refused: 1 } as const;
    return {
      seconds: 30,
      served: [{ ...of, admittedRps, besidesBurstRps }],
      wrong: [],
      newConnections: 0,
      ...rest,
    };
  };

  it("allows two a second in a full run, and is about too many in a short one", () => {
    assert.equal(atMostRps(30), 102);
    assert.equal(atMostRps(2), 104);
    assert.deepEqual(brokenPromises(result(98)), []);
    assert.deepEqual(brokenPromises(result(97)), ["anna over HTTP/1: 97.00 a second, expected 100 within 2"]);
    assert.deepEqual(brokenPromises(result(60, { seconds: 2 })), []);
    assert.deepEqual(brokenPromises(result(LIMIT_RPS + 4.1, { seconds: 2 })), [
      "anna over HTTP/1: 104.10 a second besides a burst, expected at most 104",
    ]);
  });

  it("names wrong answers and lost connections", () => {
    assert.deepEqual(brokenPromises(result(100, { wrong: ["status 503"], newConnections: 2 })), [
      "2 connections were opened anew",
      "wrong answer: status 503",
    ]);
  });
});
