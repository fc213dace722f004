import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { Outcome } from "../../src/failure-accrual/accrual-rule.ts";
import { Breaker } from "../../src/failure-accrual/breaker.ts";
import { ConsecutiveFailures } from "../../src/failure-accrual/consecutive.ts";
import { UnifiedAccrual } from "../../src/failure-accrual/unified.ts";
import { Backoff } from "../../src/time/backoff.ts";
import { scripted } from "../support/chance.ts";

const BACKOFF = { minMs: 1_000, maxMs: 60_000, jitter: 0 };

function consecutive(maxFailures: number): Breaker {
  return new Breaker(new ConsecutiveFailures(maxFailures), new Backoff(BACKOFF));
}

function unified(): Breaker {
  const params = { maxConsecutiveFailures: 3, successRateThreshold: 0.8, windowMs: 10_000, minRequests: 5 };
  return new Breaker(new UnifiedAccrual(params, 0), new Backoff(BACKOFF));
}

/** Fails until it shuts. */
function shut(breaker: Breaker, failures: number): void {
  for (let i = 0; i < failures; i++) breaker.record("failure", 0);
  assert.equal(breaker.state, "shut");
}

describe("outbound 7.3: a breaker", () => {
  test("shuts at the given number of failures in a row, not before", () => {
    const breaker = consecutive(3);
    assert.equal(breaker.record("failure", 0), undefined);
    assert.equal(breaker.record("failure", 0), undefined);
    assert.equal(breaker.admits, true);
    assert.deepEqual(breaker.record("failure", 0), {
      kind: "tripped",
      reason: "consecutive_failures",
      pauseMs: 1_000,
    });
    assert.equal(breaker.admits, false);
  });

  test("forgets its failures with each success, and with each refusal for overload", () => {
    for (const good of ["success", "degraded"] as const) {
      const breaker = consecutive(2);
      for (let i = 0; i < 10; i++) {
        breaker.record("failure", 0);
        breaker.record(good, 0);
      }
      assert.equal(breaker.state, "open");
    }
  });

  test("outbound 16.11: never shuts for refusals for overload in the consecutive mode", () => {
    const breaker = consecutive(1);
    for (let i = 0; i < 100; i++) breaker.record("degraded", 0);
    assert.equal(breaker.state, "open");
  });

  test("never shuts where its limit is 0", () => {
    const breaker = consecutive(0);
    for (let i = 0; i < 1000; i++) breaker.record("failure", 0);
    assert.equal(breaker.state, "open");
  });

  test("does not hear what ends while it is shut", () => {
    const breaker = consecutive(1);
    shut(breaker, 1);
    assert.equal(breaker.record("success", 0), undefined);
    assert.equal(breaker.record("failure", 0), undefined);
    assert.equal(breaker.state, "shut");
  });

  test("lets one request pass after its pause, and opens with its success", () => {
    const breaker = consecutive(1);
    shut(breaker, 1);
    breaker.probe();
    assert.deepEqual([breaker.state, breaker.admits], ["probation", true]);
    breaker.begin();
    assert.equal(breaker.admits, false);
    assert.deepEqual(breaker.record("success", 0), { kind: "reopened" });
    assert.deepEqual([breaker.state, breaker.admits], ["open", true]);
  });

  test("pauses twice as long after each failed trial, up to the longest, and anew after it was open", () => {
    const breaker = consecutive(1);
    const pauses: number[] = [];
    const fail = (): void => {
      const change = breaker.record("failure", 0);
      assert.ok(change !== undefined && change.kind !== "reopened");
      pauses.push(change.pauseMs);
      breaker.probe();
      breaker.begin();
    };
    for (let i = 0; i < 8; i++) fail();
    assert.deepEqual(
      pauses,
      [1, 2, 4, 8, 16, 32, 60, 60].map((s) => s * 1000),
    );
    breaker.record("success", 0);
    fail();
    assert.equal(pauses.at(-1), 1_000);
  });

  test("adds chance to its pauses", () => {
    const backoff = new Backoff({ ...BACKOFF, jitter: 0.5 }, scripted(0, 0.5, 1));
    const breaker = new Breaker(new ConsecutiveFailures(1), backoff);
    const pauses = [0, 1, 2].map(() => {
      const change = breaker.record("failure", 0);
      breaker.probe();
      return change?.kind === "reopened" ? undefined : change?.pauseMs;
    });
    assert.deepEqual(pauses, [1_000, 2_500, 6_000]);
  });

  test("counts from nothing when it is open again", () => {
    const breaker = consecutive(3);
    shut(breaker, 3);
    breaker.probe();
    breaker.record("success", 0);
    breaker.record("failure", 0);
    breaker.record("failure", 0);
    assert.equal(breaker.state, "open");
  });

  test("goes by the next outcome in probation, even of a request from before", () => {
    const breaker = consecutive(1);
    breaker.begin();
    shut(breaker, 1);
    breaker.probe();
    breaker.begin();
    assert.deepEqual(breaker.record("success", 0), { kind: "reopened" });
  });

  test("gives the place of a trial that was given up to another", () => {
    const breaker = consecutive(1);
    const old = breaker.begin();
    shut(breaker, 1);
    breaker.probe();
    const trial = breaker.begin();
    assert.equal(breaker.abandon(old), false);
    assert.equal(breaker.admits, false);
    assert.equal(breaker.abandon(trial), true);
    assert.equal(breaker.admits, true);
    breaker.begin();
    breaker.record("failure", 0);
    breaker.probe();
    breaker.begin();
    assert.equal(breaker.abandon(trial), false, "the trial of an earlier probation");
    assert.equal(breaker.admits, false);
  });

  test("never lets two requests pass in one probation, whatever happens", () => {
    type Step = "begin" | "end" | "give up" | "pause over";
    const steps = fc.array(
      fc.tuple(
        fc.constantFrom<Step>("begin", "end", "give up", "pause over"),
        fc.constantFrom<Outcome>("success", "degraded", "failure"),
        fc.nat(20),
      ),
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (all, limit) => {
        const breaker = consecutive(limit);
        const under: { permit: number }[] = [];
        for (const [step, outcome, at] of all) {
          if (step === "pause over") breaker.probe();
          else if (step === "begin") {
            if (breaker.admits) under.push({ permit: breaker.begin() });
          } else if (under.length > 0) {
            const [request] = under.splice(at % under.length, 1);
            if (step === "end") breaker.record(outcome, 0);
            else breaker.abandon(request?.permit ?? 0);
          }
          if (breaker.state === "shut") assert.equal(breaker.admits, false);
          const trials = under.filter(({ permit }) => permit !== 0);
          const current = Math.max(0, ...trials.map(({ permit }) => permit));
          assert.ok(trials.filter(({ permit }) => permit === current).length <= 1);
        }
      }),
    );
  });
});

describe("outbound 7.4: a unified breaker", () => {
  const record = (breaker: Breaker, outcomes: string, nowMs = 0): (string | undefined)[] =>
    outcomes.split("").map((c) => {
      const change = breaker.record(c === "+" ? "success" : c === "~" ? "degraded" : "failure", nowMs);
      return change?.kind === "tripped" ? change.reason : change?.kind;
    });

  test("shuts for failures in a row before the rate means anything", () => {
    assert.deepEqual(record(unified(), "---"), [undefined, undefined, "consecutive_failures"]);
  });

  test("names the failures in a row where both halves shut it at once", () => {
    assert.equal(record(unified(), "++---").at(-1), "consecutive_failures");
  });

  test("shuts for a low rate once it has seen enough requests", () => {
    assert.deepEqual(record(unified(), "+-+-"), Array(4).fill(undefined));
    assert.equal(record(unified(), "+-+-+").at(-1), "success_rate");
    // 80 % is not below 80 %.
    assert.equal(record(unified(), "++++-").at(-1), undefined);
  });

  test("takes refusals for overload for bad signs, though not for failures in a row", () => {
    assert.equal(record(unified(), "~~~~").at(-1), undefined);
    assert.equal(record(unified(), "~~~~~").at(-1), "success_rate");
    const inARow = new Breaker(
      new UnifiedAccrual(
        { maxConsecutiveFailures: 2, successRateThreshold: 0, windowMs: 10_000, minRequests: 1 },
        0,
      ),
      new Backoff(BACKOFF),
    );
    assert.deepEqual(record(inARow, "-~-~-~"), Array(6).fill(undefined), "a rate of 0 asks for nothing");
  });

  test("is not brought back by a refusal for overload, and forgets everything when it is", () => {
    const breaker = unified();
    record(breaker, "---");
    breaker.probe();
    assert.deepEqual(record(breaker, "~"), ["shut_again"]);
    breaker.probe();
    assert.deepEqual(record(breaker, "+"), ["reopened"]);
    assert.deepEqual(record(breaker, "--++"), Array(4).fill(undefined));
  });

  test("without a limit of failures in a row goes by the rate alone", () => {
    const params = {
      maxConsecutiveFailures: 0,
      successRateThreshold: 0.5,
      windowMs: 10_000,
      minRequests: 10,
    };
    const breaker = new Breaker(new UnifiedAccrual(params, 0), new Backoff(BACKOFF));
    assert.deepEqual(record(breaker, "----------").at(-1), "success_rate");
  });
});
