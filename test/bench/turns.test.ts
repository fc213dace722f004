import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Turns, turnsOf } from "../../bench/kinds/turns.ts";
import { SCENARIOS } from "../../bench/suite.ts";

function turnsOfScenario(name: string, seconds: number): Turns {
  const scenario = SCENARIOS.find((one) => one.name === name);
  assert.ok(scenario?.kind === "load", name);
  return turnsOf({ seconds }, scenario);
}

describe("a round", () => {
  it("has turns of a quarter of a second, and one if it is shorter", () => {
    assert.deepEqual(turnsOfScenario("hop-http1", 2), { count: 8, seconds: 0.25, rampSeconds: 0.1 });
    assert.deepEqual(turnsOfScenario("hop-http1", 0.2), { count: 1, seconds: 0.2, rampSeconds: 0.1 });
    assert.deepEqual(turnsOfScenario("hop-http1", 0.7).seconds, 0.7 / 3);
  });

  it("is as long as its scenario wants it to be, with longer turns where requests are rare", () => {
    assert.deepEqual(turnsOfScenario("pair-http2-steady", 2).count, 16);
    assert.deepEqual(turnsOfScenario("mesh-20", 2), { count: 6, seconds: 2.5, rampSeconds: 0.5 });
  });

  it("has one turn where a turn takes long to begin", () => {
    for (const name of ["pair-http1-autocannon", "pair-idle"]) {
      const { count, rampSeconds } = turnsOfScenario(name, 2);
      assert.deepEqual([count, rampSeconds], [1, 1], name);
    }
  });
});
