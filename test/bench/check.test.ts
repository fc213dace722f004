import assert from "node:assert/strict";
import { test } from "node:test";
import { type Budget, judge, readBudgets } from "../../bench/budgets.ts";
import { checkBudgets } from "../../bench/check.ts";
import { PEERS } from "../../bench/peers/all.ts";
import type { RunReport } from "../../bench/report/run-report.ts";
import { SCENARIOS } from "../../bench/suite.ts";
import { check } from "./run-bench.ts";

const BUDGET: Budget = {
  name: "one hop",
  scenario: "hop-http2",
  against: "haproxy",
  figure: "cpuMicros",
  atMost: 1,
};

function reportOf(ratio: number): RunReport {
  const spread = { median: ratio, min: ratio, max: ratio };
  return {
    version: 2,
    date: "2026-01-01T00:00:00.000Z",
    machine: { cores: 2, model: "", memoryMiB: 1, kernel: "", node: "", pinned: true },
    commit: undefined,
    options: { rounds: 1, seconds: 1, warmUpSeconds: 1 },
    absent: [],
    scenarios: [
      {
        name: "hop-http2",
        title: "",
        subject: "cpuMicros",
        ways: [{ name: "haproxy", rounds: [], figures: {}, ratios: { cpuMicros: spread } }],
      },
    ],
  };
}

test("every budget is of a scenario and a proxy that exist, and the short form has one that every machine can measure", () => {
  const budgets = readBudgets(new URL("../../bench/budgets.json", import.meta.url));
  for (const { name, scenario, against } of budgets) {
    assert.ok(
      SCENARIOS.some((one) => one.name === scenario),
      name,
    );
    assert.ok(
      PEERS.some((one) => one.name === against),
      name,
    );
  }
  assert.ok(budgets.some(({ short, against }) => short === true && against === "node:http2"));
});

test("a budget is kept up to its limit, and not measured without both sides", () => {
  assert.equal(judge([BUDGET], reportOf(1))[0]?.kept, true);
  assert.equal(judge([BUDGET], reportOf(1.01))[0]?.kept, false);
  assert.equal(judge([{ ...BUDGET, against: "nginx" }], reportOf(1))[0]?.kept, undefined);
});

test("what is missed once is measured again, what is missed each time is missed", async () => {
  const runs = (ratios: readonly number[]) => {
    let run = 0;
    return { measure: () => Promise.resolve(reportOf(ratios[run++] ?? NaN)), count: () => run };
  };
  const noisy = runs([1.5, 0.9]);
  assert.equal((await checkBudgets([BUDGET], noisy.measure))[0]?.kept, true);
  assert.equal(noisy.count(), 2);
  const slow = runs([1.5, 1.4, 1.6]);
  assert.equal((await checkBudgets([BUDGET], slow.measure))[0]?.kept, false);
  assert.equal(slow.count(), 3);
});

// The short form, as it stands: whoever makes the proxy much slower sees it here.
test("the budgets of the short form are kept", async (t) => {
  const { code, out, err } = await check("--rounds", "2", "--warm-up", "1");
  t.diagnostic(out);
  assert.equal(code, 0, `${out}\n${err}`);
  assert.match(out, /one hop, HTTP\/2, beside node:http2 .* kept/);
});
