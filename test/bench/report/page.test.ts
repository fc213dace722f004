import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import type { Spread } from "../../../bench/figures.ts";
import { DIRECT, OURS } from "../../../bench/figures.ts";
import { goalsOf } from "../../../bench/report/goals.ts";
import { pageOf } from "../../../bench/report/page.ts";
import type { RunReport } from "../../../bench/report/run-report.ts";
import { withFigure, without } from "./altered-report.ts";
import { madeUpReport } from "./made-up-report.ts";
import { problemsOf } from "./well-formed.ts";

function render(report: RunReport): string {
  return pageOf(report, goalsOf(report));
}

/** What stands between the beginning of a section and that of the next one. */
function sectionOf(page: string, scenario: string): string {
  const [, section = ""] = page.split(`<section id="scenario-${scenario}"`);
  return section.split("<section")[0] ?? "";
}

function plotsOf(text: string): readonly string[] {
  return [...text.matchAll(/<svg id="([^"]+)"/g)].map(([, id]) => id ?? "");
}

const PAGE = render(madeUpReport());

describe("the page", () => {
  it("closes every tag", () => assert.deepEqual(problemsOf(PAGE), []));

  it("tells when, where and what was measured, and who was missing", () => {
    for (const text of [
      "2026-11-21 00:09 UTC",
      "1b9f224c with changes on top",
      "2 cores, Example CPU at 3.0 GHz, 7,960 MiB",
      "5 rounds of 3 s, after 3 s of warm-up",
      "envoy (envoy is not on PATH)",
    ]) {
      assert.ok(PAGE.includes(text), text);
    }
  });

  it("forbids itself the network and scripts, and knows its own style by its hash", () => {
    const [, style = ""] = /<style>(.*?)<\/style>/s.exec(PAGE) ?? [];
    const hash = createHash("sha256").update(style).digest("base64");
    const [, policy] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(PAGE) ?? [];
    assert.equal(
      policy?.replaceAll("&#39;", "'"),
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`,
    );
    assert.doesNotMatch(PAGE, /<script|<link|<img|<iframe|@import|url\(|\son[a-z]+=|\sstyle=/i);
    assert.doesNotMatch(PAGE, /https?:\/\//);
  });

  it("has no id twice, and every link leads somewhere", () => {
    const ids = [...PAGE.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length);
    const known = new Set(ids);
    for (const [, target = ""] of PAGE.matchAll(/href="#([^"]*)"/g)) assert.ok(known.has(target), target);
    for (const [, names = ""] of PAGE.matchAll(/aria-labelledby="([^"]*)"/g))
      for (const name of names.split(" ")) assert.ok(known.has(name), name);
  });

  it("gives every plot a name and a text for those who cannot see it", () => {
    const plots = [...PAGE.matchAll(/<svg id="[^"]*".*?<\/svg>/gs)].map(([plot]) => plot);
    assert.ok(plots.length > 10);
    for (const plot of plots) {
      assert.match(plot, /role="img"/);
      assert.match(plot, /<title id="[^"]+">[^<]+<\/title>\s*<desc id="[^"]+">[^<]+<\/desc>/);
    }
  });

  it("draws latency, processor time and memory where they were measured", () => {
    assert.deepEqual(plotsOf(sectionOf(PAGE, "pair-http2")), [
      "scenario-pair-http2-latency",
      "scenario-pair-http2-cpuMicros",
      "scenario-pair-http2-memory",
    ]);
    assert.deepEqual(plotsOf(sectionOf(PAGE, "pair-download")), [
      "scenario-pair-download-mibPerSecond",
      "scenario-pair-download-cpuMicros",
      "scenario-pair-download-memory",
    ]);
    assert.deepEqual(plotsOf(sectionOf(PAGE, "start")), ["scenario-start-readyMs", "scenario-start-rssMiB"]);
    assert.deepEqual(plotsOf(sectionOf(PAGE, "soak")), ["scenario-soak-latency", "scenario-soak-memory"]);
  });

  it("draws a line for the direct path and each proxy, each with its marks", () => {
    const [, plot = ""] = /id="scenario-pair-http2-latency"(.*?)<\/svg>/s.exec(PAGE) ?? [];
    assert.equal(plot.match(/class="line /g)?.length, 6);
    for (const way of [DIRECT, OURS, "haproxy"])
      assert.match(plot, new RegExp(`${way}: p99\\.9 [0-9,]+ µs</title>`));
  });

  it("draws bars with whiskers, none for a way that has no proxy", () => {
    const section = sectionOf(PAGE, "pair-http2");
    assert.equal(section.match(/class="bar /g)?.length, 5);
    assert.equal(section.match(/class="whisker"/g)?.length, 5);
    assert.doesNotMatch(section, /class="bar direct"/);
  });

  it("joins the rounds of a proxy that lives on, and keeps those of new processes apart", () => {
    const strokes = (scenario: string): number => {
      const [, plot = ""] = sectionOf(PAGE, scenario).split(`id="scenario-${scenario}-memory"`);
      return /class="line ours" d="([^"]*)"/.exec(plot)?.[1]?.match(/M/g)?.length ?? 0;
    };
    assert.equal(strokes("pair-http2"), 1);
    assert.equal(strokes("idle-10000"), 5);
  });

  it("tells what is added over the direct path where the subject is latency", () => {
    assert.match(sectionOf(PAGE, "pair-http2-steady"), /Added over the direct path/);
    assert.doesNotMatch(sectionOf(PAGE, "pair-http2"), /Added over the direct path/);
    const place = { scenario: "pair-http2-steady", figure: "p99Micros", kind: "figures" } as const;
    const direct: Spread = { median: 300, min: 250, max: 400 };
    const ours: Spread = { median: 1_500, min: 650, max: 2_000 };
    const report = withFigure(madeUpReport(), { ...place, way: DIRECT }, direct);
    const section = sectionOf(render(withFigure(report, { ...place, way: OURS }, ours)), "pair-http2-steady");
    assert.match(section, /\+1,200<small>\+400<\/small>/);
  });

  it("says of each goal in words whether it was met", () => {
    const page = render(without(madeUpReport(), "haproxy"));
    const [goals = ""] = page.split('<section id="overview-section">');
    assert.match(goals, /· 7 not measured/);
    assert.match(goals, /✓ met<\/td>/);
    assert.match(goals, /✗ not met<\/td>/);
  });
});

describe("the page of a run", () => {
  it("with hostile names shows them as texts", () => {
    const evil = `"><script>alert(1)</script><b a='`;
    const { scenarios, machine, ...rest } = madeUpReport();
    const report = {
      ...rest,
      date: evil,
      commit: evil,
      machine: { ...machine, model: evil, kernel: evil, node: evil },
      absent: [{ name: evil, reason: evil }],
      scenarios: scenarios.map((scenario, i) => ({
        ...scenario,
        name: evil.repeat(i + 1),
        title: evil,
        ways: scenario.ways.map((way) => (way.name === "nginx" ? { ...way, name: evil } : way)),
      })),
    };
    const page = render(report);
    assert.deepEqual(problemsOf(page), []);
    assert.doesNotMatch(page, /<script|<b\s/);
    assert.ok(page.includes("&lt;script&gt;alert(1)"));
  });

  it("with numbers that are none has neither holes in the tags nor NaN on the axes", () => {
    const nothing: Spread = { median: NaN, min: NaN, max: NaN };
    const report = madeUpReport();
    const spoiled = report.scenarios.map((scenario) => ({
      ...scenario,
      ways: scenario.ways.map((way) => ({
        ...way,
        figures: { ...way.figures, cpuMicros: nothing, p99Micros: nothing },
        ratios: { cpuMicros: nothing },
        rounds: way.rounds.map((round) => ({
          ...round,
          curve: [
            [NaN, 1],
            [50, NaN],
            [90, 100],
            [99, Infinity],
          ] as const,
          memory: [[NaN, NaN]] as const,
        })),
      })),
    }));
    const page = render({ ...report, scenarios: spoiled });
    assert.deepEqual(problemsOf(page), []);
    assert.doesNotMatch(page, /NaN|Infinity|undefined|\[object/);
  });

  it("without anything compared, or without scenarios, is still a page", () => {
    const alone = ["haproxy", "nginx", "nghttpx", "node:http2"].reduce(without, madeUpReport());
    for (const report of [alone, { ...alone, scenarios: [], absent: [], commit: undefined }]) {
      const page = render(report);
      assert.deepEqual(problemsOf(page), []);
      assert.doesNotMatch(page, /overview-section/);
    }
  });
});
