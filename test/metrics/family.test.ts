import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SERIES_MAX } from "../../src/metrics/family.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import type { Labels } from "../../src/metrics/registry.ts";
import { systemClock } from "../../src/time/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { parsePage, scrape } from "./page.ts";

function setup() {
  const clock = new FakeClock(1_000);
  const registry = new MetricRegistry(clock, 10_000);
  return { clock, registry };
}

describe("a family of series", () => {
  it("gives the same cell for the same labels, whoever made the list", () => {
    const family = setup().registry.counter("legacy", "a_total", "A");
    const cell = family.cell([["x", "1"]]);
    assert.equal(family.cell([["x", "1"]]), cell);
    assert.notEqual(family.cell([["x", "2"]]), cell);
  });

  it("keeps a series that someone holds, for however long", async () => {
    const { clock, registry } = setup();
    const family = registry.counter("legacy", "a_total", "A", { expires: true });
    family.cell([["x", "1"]]).value = 1;
    clock.advance(1e9);
    await scrape(registry);
    assert.match(await scrape(registry), /a_total\{x="1"\} 1/);
  });

  it("drops a released series after its retention, and only after it was printed once more", async () => {
    const { clock, registry } = setup();
    const family = registry.counter("legacy", "a_total", "A", { expires: true });
    const labels: Labels = [["x", "1"]];
    family.cell(labels).value = 7;
    family.cell([["x", "1"]]);
    family.release(labels);
    clock.advance(10_000);
    await scrape(registry);
    assert.match(await scrape(registry), /a_total/, "one holder is left");
    family.release(labels);
    clock.advance(9_999);
    await scrape(registry);
    assert.match(await scrape(registry), /a_total/, "the retention is not over");
    clock.advance(1);
    assert.match(await scrape(registry), /a_total/, "printed before it is dropped");
    assert.doesNotMatch(await scrape(registry), /a_total/);
    assert.equal(family.cell(labels).value, 0, "who comes back starts at zero");
  });

  it("never drops series of families that do not expire", async () => {
    const { clock, registry } = setup();
    const family = registry.counter("legacy", "a_total", "A");
    family.cell([]).value = 1;
    family.release([]);
    clock.advance(1e9);
    await scrape(registry);
    assert.match(await scrape(registry), /a_total 1/);
  });

  it("ignores a release that nothing matches", () => {
    const family = setup().registry.counter("legacy", "a_total", "A", { expires: true });
    family.release([["x", "never"]]);
    family.cell([["x", "1"]]);
    family.release([["x", "1"]]);
    family.release([["x", "1"]]);
    assert.equal(family.cell([["x", "1"]]).value, 0);
  });

  it("counts into one overflow series per direction once it is full, and says so", async () => {
    // A page this big is made over several turns, so the clock must be a real one.
    const registry = new MetricRegistry(systemClock, 10_000);
    const family = registry.counter("legacy", "a_total", "A", { expires: true });
    for (let i = 0; i < SERIES_MAX; i++)
      family.cell([
        ["direction", "inbound"],
        ["authority", String(i)],
      ]).value = 1;
    for (let i = 0; i < 1_000; i++)
      family.cell([
        ["direction", "inbound"],
        ["authority", `late${i}`],
      ]).value += 1;
    family.cell([
      ["direction", "outbound"],
      ["authority", "late"],
    ]).value += 1;
    const page = parsePage(await scrape(registry));
    const overflow = page.samples.filter((s) => s.labels.get("overflow") === "true");
    assert.deepEqual(
      overflow.map((s) => [s.labels.get("direction"), s.value]),
      [
        ["inbound", 1_000],
        ["outbound", 1],
      ],
    );
    assert.equal(page.samples.filter((s) => s.name === "a_total").length, SERIES_MAX + 2);
    const told = page.samples.find((s) => s.name === "outrigger_metrics_overflow_total");
    assert.deepEqual([told?.labels.get("family"), told?.value], ["a_total", 1_001]);
  });

  it("makes room when it is full by dropping what is idle", () => {
    const { clock, registry } = setup();
    const family = registry.counter("legacy", "a_total", "A", { expires: true });
    for (let i = 0; i < SERIES_MAX; i++) {
      const labels: Labels = [["authority", String(i)]];
      family.cell(labels);
      family.release(labels);
    }
    clock.advance(10_000);
    const one = family.cell([["authority", "new"]]);
    const two = family.cell([["authority", "newer"]]);
    assert.notEqual(one, two);
  });
});
