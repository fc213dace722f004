import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  brokenPromises,
  admissible,
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
  const result = (admittedRps: number, rest: Partial<RateLimitResult> = {}): RateLimitResult => ({
    seconds: 30,
    served: [{ identity: "anna", protocol: "HTTP/1", offered: 7500, burst: 100, admittedRps, refused: 1 }],
    wrong: [],
    newConnections: 0,
    ...rest,
  });

  it("allows two a second in a full run, and is about too many in a short one", () => {
    assert.deepEqual(admissible(30), { min: 98, max: 102 });
    assert.deepEqual(admissible(2), { min: 25, max: 104 });
    assert.deepEqual(brokenPromises(result(98)), []);
    assert.deepEqual(brokenPromises(result(LIMIT_RPS + 2.1)), [
      "anna over HTTP/1: 102.10 a second, expected 98.0 to 102.0",
    ]);
  });

  it("names wrong answers and lost connections", () => {
    assert.deepEqual(brokenPromises(result(100, { wrong: ["status 503"], newConnections: 2 })), [
      "2 connections were opened anew",
      "wrong answer: status 503",
    ]);
  });
});
