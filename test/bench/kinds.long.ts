/** Kinds of scenarios that take their time. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { FigureName } from "../../bench/figures.ts";
import type { RunReport } from "../../bench/report/run-report.ts";
import { bench, scratch } from "./run-bench.ts";

test("measures what idle connections and starting cost, and what growth costs ourselves", async (t) => {
  const file = join(await scratch(t), "figures.json");
  const { code, err } = await bench(
    ...["--scenario", "idle-1000,start,routes-1000,endpoints-1000", "--against", "none", "--json", file],
    ...["--rounds", "1", "--seconds", "0.2", "--warm-up", "0.2"],
  );
  assert.equal(code, 0, err);
  const { scenarios } = JSON.parse(await readFile(file, "utf8")) as RunReport;
  const medianOf = (scenario: string, way: string, figure: FigureName): number =>
    scenarios.find(({ name }) => name === scenario)?.ways.find(({ name }) => name === way)?.figures[figure]
      ?.median ?? NaN;
  assert.ok(medianOf("idle-1000", "outrigger", "bytesPerConnection") > 100);
  assert.ok(medianOf("start", "outrigger", "readyMs") > 10);
  for (const [scenario, variant] of [
    ["routes-1000", "1,000 routes"],
    ["endpoints-1000", "1,000 endpoints"],
  ] as const) {
    assert.equal(medianOf(scenario, variant, "errors"), 0);
    assert.ok(medianOf(scenario, variant, "cpuMicros") > 1);
  }
});

test("says whether memory grows in a soak", async (t) => {
  const file = join(await scratch(t), "figures.json");
  const { code, err } = await bench(
    ...["--scenario", "soak", "--minutes", "0.05", "--warm-up", "0.2", "--json", file],
  );
  assert.equal(code, 0, err);
  const [soak] = (JSON.parse(await readFile(file, "utf8")) as RunReport).scenarios;
  assert.ok(Number.isFinite(soak?.ways[0]?.figures.driftMiBPerHour?.median));
});
