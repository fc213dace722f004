import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseReport } from "../../../bench/report/parse-report.ts";
import { madeUpReport } from "./made-up-report.ts";

function problemOf(value: unknown): string {
  const parsed = parseReport(typeof value === "string" ? value : JSON.stringify(value));
  return parsed.ok ? "" : parsed.problem;
}

describe("parseReport", () => {
  it("takes what was written", () => {
    const report = madeUpReport();
    assert.deepEqual(parseReport(JSON.stringify(report)), { ok: true, report });
    const { commit: _, ...unknown } = report;
    assert.ok(parseReport(JSON.stringify(unknown)).ok);
  });

  it("gives back numbers that JSON does not know", () => {
    const spoiled = { ...madeUpReport(), options: { rounds: NaN, seconds: 1, warmUpSeconds: 1 } };
    const parsed = parseReport(JSON.stringify(spoiled));
    assert.ok(parsed.ok && Number.isNaN(parsed.report.options.rounds));
  });

  it("tells which version it found and which it expected", () => {
    assert.match(problemOf({ ...madeUpReport(), version: 1 }), /^found version 1, expected version 2/);
    assert.match(problemOf({ date: "2026-11-21", scenarios: [] }), /^found no version, expected version 2/);
  });

  it("tells where something else stands than a report has there", () => {
    const report = madeUpReport();
    const [first] = report.scenarios;
    for (const [value, problem] of [
      ["rounds: 5", /^not JSON: /],
      [[], /^found a list, expected a report$/],
      ["null", /^found null, expected a report$/],
      [{ ...report, date: 5 }, /^date: found 5, expected a text$/],
      [{ ...report, scenarios: {} }, /^scenarios: found an object, expected a list$/],
      [{ ...report, scenarios: [first, 7] }, /^scenarios\[1\]: found 7, expected an object$/],
      [
        { ...report, scenarios: [{ ...first, subject: "cpu" }] },
        /^scenarios\[0\]\.subject: found "cpu", expected one of cpuMicros, /,
      ],
      [
        { ...report, scenarios: [{ ...first, ways: [{ ...first?.ways[0], rounds: [{ curve: [] }] }] }] },
        /^scenarios\[0\]\.ways\[0\]\.rounds\[0\]\.memory: found nothing, expected a list$/,
      ],
    ] as const) {
      assert.match(problemOf(value), problem);
    }
  });
});
