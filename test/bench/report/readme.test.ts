import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goalsOf } from "../../../bench/report/goals.ts";
import { readmeSection, replaceSection } from "../../../bench/report/readme.ts";
import type { RunReport } from "../../../bench/report/run-report.ts";
import { without } from "./altered-report.ts";
import { madeUpReport } from "./made-up-report.ts";

function section(report: RunReport): string {
  return readmeSection(report, goalsOf(report));
}

const TEXT = "# Name\n\n<!-- bench:begin -->\nold\n<!-- bench:end -->\n\nThe end.\n";

describe("readmeSection", () => {
  it("tells machine, date and commit", () => {
    assert.match(
      section(madeUpReport()),
      /^Measured 2026-11-21 00:09 UTC, commit 1b9f224c with changes on top, on 2 cores of Example CPU at 3\.0 GHz, kernel 6\.12\.0, Node v26/,
    );
    assert.match(section(madeUpReport()), /Not on that machine: envoy\./);
  });

  it("has a row for each scenario with our figure and a ratio to each peer", () => {
    const text = section(madeUpReport());
    assert.match(
      text,
      /^\| scenario \| Outrigger \| to haproxy \| to nginx \| to nghttpx \| to node:http2 \|$/m,
    );
    assert.match(
      text,
      /^\| pair-http2 \| [0-9.]+ CPU µs\/request \| 0\.\d\d \| 0\.\d\d \| 0\.\d\d \| 0\.\d\d \|$/m,
    );
    assert.match(text, /^\| soak \| 0\.\d drift MiB\/h \| – \| – \| – \| – \|$/m);
  });

  it("has no column for a peer that was absent", () => {
    const text = section(without(madeUpReport(), "haproxy"));
    assert.match(text, /^\| scenario \| Outrigger \| to nginx \|/m);
  });

  it("names the goals that were not met, with what was found", () => {
    const report = madeUpReport();
    const missed = goalsOf(report).filter(({ met }) => met === false);
    assert.ok(missed.length > 0);
    const text = section(report);
    for (const { name, goal } of missed)
      assert.ok(text.includes(`- ${name}: `) && text.includes(`expected ${goal}`), name);
    assert.equal(text.match(/^- /gm)?.length, missed.length);
  });

  it("stays below 40 lines however much was measured, and says what is left out", () => {
    const report = madeUpReport();
    const scenarios = Array.from({ length: 8 }, (_, i) =>
      report.scenarios.map((one) => (i === 0 ? one : { ...one, name: `${one.name}-${i}` })),
    ).flat();
    // Nothing is met.
    const goals = goalsOf(report).map((goal) => ({ ...goal, met: false }));
    const text = readmeSection({ ...report, scenarios }, goals);
    assert.ok(text.split("\n").length < 40, `${text.split("\n").length} lines`);
    assert.match(text, /^\d+ more scenarios are in the results\.$/m);
    assert.equal(text.match(/^- /gm)?.length, goals.length);
  });

  it("lets no name end the table, the line or the section", () => {
    const report = madeUpReport();
    const evil = "a|b\n<!-- bench:end --> `*";
    const scenarios = report.scenarios.slice(0, 1).map((scenario) => ({ ...scenario, name: evil }));
    const text = section({ ...report, scenarios });
    assert.ok(text.includes(String.raw`| a\|b &lt;!-- bench:end --> \`\* |`), text);
    assert.equal(replaceSection(replaceSection(TEXT, text), "new"), TEXT.replace("old", "new"));
  });
});

describe("replaceSection", () => {
  it("replaces what stands between the markers, to the byte as it was given", () => {
    assert.equal(
      replaceSection(TEXT, "$& new"),
      TEXT.replace("old", () => "$& new"),
    );
    assert.equal(replaceSection(replaceSection(TEXT, "a\nb"), "old"), TEXT);
  });

  it("refuses a text that does not say where", () => {
    const begin = "<!-- bench:begin -->";
    const end = "<!-- bench:end -->";
    for (const [text, problem] of [
      ["# Name\n", `found ${begin} 0 times, expected it once`],
      [begin, `found ${end} 0 times, expected it once`],
      [begin + begin + end, `found ${begin} 2 times, expected it once`],
      [end + begin, `found ${end} before ${begin}, expected it after`],
    ] as const) {
      assert.throws(() => replaceSection(text, "new"), { message: problem });
    }
  });
});
