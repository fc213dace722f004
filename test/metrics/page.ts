import assert from "node:assert/strict";
import type { MetricRegistry } from "../../src/metrics/metric-registry.ts";

export async function scrape(registry: MetricRegistry): Promise<string> {
  let text = "";
  for await (const piece of registry.scrape()) text += piece;
  return text;
}

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export interface Page {
  readonly samples: readonly Sample[];
  /** Type by family name. */
  readonly types: ReadonlyMap<string, string>;
}

/**
 * Reads a page as strictly as Prometheus's own text parser: HELP and TYPE once per family and before its samples, samples of
 * a family together, no series twice, the EOF line last.
 */
export function parsePage(text: string): Page {
  assert.ok(text.endsWith("# EOF\n"), "the page ends with # EOF");
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  let current = "";
  const lines = text.slice(0, -"# EOF\n".length).split("\n");
  assert.equal(lines.pop(), "");
  for (const line of lines) {
    const comment = /^# (HELP|TYPE|UNIT) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line);
    if (line.startsWith("#")) {
      assert.ok(comment, line);
      const [, kind, name = "", rest = ""] = comment;
      if (kind === "HELP") {
        assert.ok(!helps.has(name), `HELP twice: ${name}`);
        helps.add(name);
        current = name;
      } else if (kind === "TYPE") {
        assert.equal(name, current);
        assert.ok(!types.has(name), `TYPE twice: ${name}`);
        types.set(name, rest);
      } else {
        assert.ok(name.endsWith(`_${rest}`), `unit ${rest} is not in the name ${name}`);
      }
      continue;
    }
    if (line === "") continue;
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    assert.ok(sample, line);
    const [, name = "", labelText = "", valueText = ""] = sample;
    assert.ok(
      [current, `${current}_total`, `${current}_bucket`, `${current}_sum`, `${current}_count`].includes(name),
      `${name} stands under ${current}`,
    );
    assert.ok(!seen.has(`${name}{${labelText}}`), `series twice: ${line}`);
    seen.add(`${name}{${labelText}}`);
    const value = valueText === "+Inf" ? Infinity : Number(valueText);
    assert.ok(!Number.isNaN(value), line);
    samples.push({ name, labels: parseLabels(labelText), value });
  }
  return { samples, types };
}

function parseLabels(text: string): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  let rest = text;
  while (rest !== "") {
    const pair = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest);
    assert.ok(pair, `labels: ${rest}`);
    const [whole, name = "", value = ""] = pair;
    assert.ok(!labels.has(name), `label twice: ${name}`);
    labels.set(
      name,
      value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c)),
    );
    rest = rest.slice(whole.length);
  }
  return labels;
}
