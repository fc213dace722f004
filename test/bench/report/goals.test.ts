import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Spread } from "../../../bench/figures.ts";
import { DIRECT, OURS } from "../../../bench/figures.ts";
import { table } from "../../../bench/harness/table.ts";
import { goalsOf, type Goal } from "../../../bench/report/goals.ts";
import type { RunReport } from "../../../bench/report/run-report.ts";
import { goalsTable } from "../../../bench/report/terminal.ts";
import { withFigure, without, type Place } from "./altered-report.ts";
import { madeUpReport } from "./made-up-report.ts";

function goal(report: RunReport, name: string): Goal {
  const found = goalsOf(report).find((one) => one.name === name);
  assert.ok(found !== undefined, `no goal is called ${name}`);
  return found;
}

/** The same value in every round. */
function level(value: number): Spread {
  return { median: value, min: value, max: value };
}

function measured(name: string, ...figures: readonly (readonly [Place, Spread | undefined])[]): Goal {
  return goal(
    figures.reduce((report, [place, spread]) => withFigure(report, place, spread), madeUpReport()),
    name,
  );
}

const CPU: Place = { scenario: "pair-http2", way: "haproxy", figure: "cpuMicros", kind: "ratios" };
const STEADY = { scenario: "pair-http2-steady", figure: "quietP99Micros" } as const;
const OUR_TAIL: Place = { ...STEADY, way: OURS, kind: "figures" };
const DIRECT_TAIL: Place = { ...STEADY, way: DIRECT, kind: "figures" };
const IDLE_MEMORY: Place = { scenario: "start", way: OURS, figure: "rssMiB", kind: "figures" };
const SOAK_MEMORY: Place = { ...IDLE_MEMORY, scenario: "soak" };
const CONNECTION: Place = {
  ...{ scenario: "idle-10000", way: OURS, figure: "bytesPerConnection", kind: "figures" },
};

describe("goals", () => {
  it("compares processor time by the ratio of the report, in two stages", () => {
    for (const [ratio, first, second] of [
      [0.7, true, true],
      [0.75, true, false],
      [0.8, true, false],
      [0.81, false, false],
    ] as const) {
      assert.equal(measured("CPU to HAProxy's, HTTP/2", [CPU, level(ratio)]).met, first, `${ratio}`);
      const name = "CPU to HAProxy's, HTTP/2, second stage";
      assert.equal(measured(name, [CPU, level(ratio)]).met, second, `${ratio}, second stage`);
    }
  });

  it("takes what is added to the tail from the medians of both, in ms, and wants less than the limit", () => {
    const name = "p99 added at 2,000/s, HTTP/2";
    const theirs = [DIRECT_TAIL, { median: 200, min: 100, max: 9_000 }] as const;
    const good = measured(name, theirs, [OUR_TAIL, { median: 1_199, min: 300, max: 9_000 }]);
    assert.deepEqual([good.measured, good.met, good.goal], [0.999, true, "under 1 ms"]);
    assert.equal(measured(name, theirs, [OUR_TAIL, { median: 1_200, min: 300, max: 9_000 }]).met, false);
  });

  it("tells memory in MB of a million bytes, and of one proxy", () => {
    const idle = measured("Memory of an idle proxy", [IDLE_MEMORY, level(57)]);
    assert.ok(Math.abs((idle.measured ?? 0) - 59.77) < 0.01 && idle.met, `${idle.measured}`);
    // 58 MiB are more than 60 MB.
    assert.equal(measured("Memory of an idle proxy", [IDLE_MEMORY, level(58)]).met, false);
    const soaked = measured("Memory of a proxy after the soak", [SOAK_MEMORY, level(170)]);
    assert.ok(Math.abs((soaked.measured ?? 0) - 89.13) < 0.01 && soaked.met, `${soaked.measured}`);
  });

  it("halves what the pair holds for an idle connection", () => {
    const name = "Memory of a proxy per idle connection";
    assert.equal(measured(name, [CONNECTION, level(24_000)]).measured, 12);
    assert.equal(measured(name, [CONNECTION, level(24_000)]).met, true);
    assert.equal(measured(name, [CONNECTION, level(24_576)]).met, false);
  });

  it("is content with a soak in which memory shrinks", () => {
    const place = { ...SOAK_MEMORY, figure: "driftMiBPerHour" } as const;
    assert.equal(measured("Growth of the pair in the soak", [place, level(-3)]).met, true);
  });

  it("knows nothing of comparisons with a proxy that was absent, and the rest as before", () => {
    const goals = goalsOf(without(madeUpReport(), "haproxy"));
    for (const { name, measured, met } of goals) {
      const isCompared = name.includes("HAProxy");
      assert.equal(measured === undefined, isCompared, name);
      assert.equal(met === undefined, isCompared, name);
    }
  });

  it("lists every goal of a run without scenarios as not measured", () => {
    const goals = goalsOf({ ...madeUpReport(), scenarios: [] });
    assert.ok(goals.length >= 14);
    for (const { measured, met } of goals) assert.deepEqual([measured, met], [undefined, undefined]);
  });

  it("takes what is no number for not measured", () => {
    for (const value of [NaN, Infinity]) {
      const { measured: found, met } = measured("CPU to HAProxy's, HTTP/2", [CPU, level(value)]);
      assert.deepEqual([found, met], [undefined, undefined]);
    }
    assert.equal(measured("p99 added at 2,000/s, HTTP/2", [DIRECT_TAIL, undefined]).met, undefined);
  });
});

describe("goalsTable", () => {
  it("shows each goal with its verdict in words", () => {
    const report = withFigure(without(madeUpReport(), "nginx"), CPU, level(0.75));
    const lines = table(
      goalsTable(
        goalsOf({ ...report, scenarios: report.scenarios.filter(({ name }) => name === "pair-http2") }),
      ),
    ).split("\n");
    const line = (name: string): string | undefined => lines.find((one) => one.startsWith(`  ${name}  `));
    assert.match(line("CPU to HAProxy's, HTTP/2") ?? "", / at most 0\.8 +0\.75 +met +pair-http2$/);
    assert.match(
      line("CPU to HAProxy's, HTTP/2, second stage") ?? "",
      / at most 0\.7 +0\.75 +not met +pair-http2$/,
    );
    assert.match(line("Start to ready") ?? "", / at most 300 ms +– +not measured +start$/);
  });
});
