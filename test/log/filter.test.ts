import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  decide,
  formatLogFilter,
  parseLogFilter,
  passes,
  readLogFilter,
  type LogFilter,
  type Span,
} from "../../src/log/filter.ts";
import type { LogFields, LogLevel } from "../../src/log/log.ts";

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug", "trace"];

function filterOf(text: string): LogFilter {
  const filter = parseLogFilter(text);
  assert.ok(filter.ok, filter.ok ? "" : filter.problem);
  return filter.value;
}

/** The most detailed level that an event there passes with, or "off". */
function most(text: string, target: string, spans: readonly Span[] = [], fields?: LogFields): string {
  const decision = decide(filterOf(text), target, spans);
  return LEVELS.findLast((level) => passes(decision, level, fields)) ?? "off";
}

const span = (name: string, fields: LogFields = {}): Span => ({ name, fields });

describe("a log filter", () => {
  const cases: readonly (readonly [string, string, string, (readonly Span[])?, LogFields?])[] = [
    ["", "linkerd_app", "warn"],
    [" , ,", "linkerd_app", "warn"],
    ["INFO", "any", "info"],
    ["0", "any", "off"],
    ["5", "any", "trace"],
    ["warn,linkerd=debug", "linkerd_app_core::serve", "debug"],
    ["warn,linkerd=debug", "hyper", "warn"],
    ["linkerd=debug", "hyper", "off"],
    ["linkerd", "linkerd_app", "trace"],
    ["linkerd=", "linkerd_app", "trace"],
    ["linkerd=info,linkerd_app=error", "linkerd_app", "error"],
    ["linkerd_app=error,linkerd=info", "linkerd_app", "error"],
    ["linkerd=info, linkerd=error", "linkerd_app", "error"],
    ["warn,[inbound]=debug", "x", "debug", [span("inbound")]],
    ["warn,[inbound]=debug", "x", "warn", [span("outbound")]],
    ["warn,x[inbound]=debug", "y", "warn", [span("inbound")]],
    [
      "warn,[accept{client.addr=192.0.2.1:1}]=trace",
      "x",
      "trace",
      [span("accept", { "client.addr": "192.0.2.1:1" })],
    ],
    [
      "warn,[accept{client.addr=192.0.2.1:1}]=trace",
      "x",
      "warn",
      [span("accept", { "client.addr": "192.0.2.2:1" })],
    ],
    ["warn,[{port=80}]=debug", "x", "debug", [span("server", { port: 80 })]],
    ['warn,[{ok="true"}]=debug', "x", "debug", [], { ok: true }],
    ["info,[{headers}]=off", "x", "off", [], { headers: "h" }],
    ["info,[{headers}]=off", "x", "info", [], { other: "h" }],
    ["info,[{headers}]=off", "x", "info", [], { headers: undefined }],
    ["info,[{a,b}]=debug,[{a}]=off", "x", "debug", [], { a: 1, b: 2 }],
    ["info,[{a,b}]=debug,[{a}]=off", "x", "off", [], { a: 1 }],
    ["info,[{__proto__}]=off", "x", "info", [], { a: 1 }],
  ];
  for (const [text, target, expected, spans, fields] of cases) {
    const where = `${target} ${(spans ?? []).map((s) => s.name).join(":")} ${JSON.stringify(fields ?? {})}`;
    it(`"${text}" lets ${expected} pass for ${where}`, () => {
      assert.equal(most(text, target, spans, fields), expected);
    });
  }

  for (const bad of [
    "x[",
    "a=loud",
    "a=b=c",
    "[x{]=info",
    "=info",
    "a b=info",
    "x".repeat(20_000),
    "info,x[",
  ]) {
    it(`refuses ${JSON.stringify(bad.slice(0, 30))} as a whole when it is put`, () => {
      const filter = parseLogFilter(bad);
      assert.ok(!filter.ok);
      assert.ok(filter.problem.length < 250);
    });
  }

  it("leaves bad directives of the environment out and keeps the rest", () => {
    const { filter, problems } = readLogFilter("warn,x[,linkerd=debug");
    // The open bracket swallows what follows, as it does for the model.
    assert.equal(problems.length, 1);
    assert.equal(formatLogFilter(filter), "warn");
    assert.equal(formatLogFilter(readLogFilter("warn,a=loud,linkerd=debug").filter), "linkerd=debug,warn");
  });

  it("prints as text that reads back as the same filter", () => {
    const text =
      "warn,linkerd=info,hickory=error,x[accept{client.addr=1,y}]=trace,[{headers}]=off,[inbound]=debug";
    const filter = filterOf(text);
    assert.deepEqual(filterOf(formatLogFilter(filter)).directives, filter.directives);
  });
});
