/** From a file of results to a report. */
import { FIGURES } from "../figures.ts";
import type { RunReport } from "./run-report.ts";

export type Parsed =
  | { readonly ok: true; readonly report: RunReport }
  | { readonly ok: false; readonly problem: string };

const VERSION: RunReport["version"] = 2;

/** Takes what `npm run bench` wrote; of anything else it tells what was found and what was expected. */
export function parseReport(text: string): Parsed {
  let value: unknown;
  try {
    // JSON has no NaN: what was one when it was written comes back as null, and becomes what it was.
    value = JSON.parse(text, (_, one: unknown) => (one === null ? NaN : one));
  } catch (error) {
    return { ok: false, problem: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  const problem = isRecord(value) ? problemOf(value) : `found ${kindOf(value)}, expected a report`;
  // The fields that decide about the form are checked; figures that are missing are figures that were not measured.
  return problem === undefined ? { ok: true, report: value as RunReport } : { ok: false, problem };
}

type Value = Readonly<Record<string, unknown>>;

function problemOf(report: Value): string | undefined {
  if (report["version"] !== VERSION) {
    const found = report["version"] === undefined ? "no version" : `version ${kindOf(report["version"])}`;
    return `found ${found}, expected version ${VERSION}: results of another bench cannot be read, measure again`;
  }
  return (
    expectText(report, "date", "") ??
    (report["commit"] === undefined ? undefined : expectText(report, "commit", "")) ??
    expectRecord(report, "machine", "") ??
    expectRecord(report, "options", "") ??
    expectList(
      report,
      "absent",
      "",
      (one, at) => expectText(one, "name", at) ?? expectText(one, "reason", at),
    ) ??
    expectList(report, "scenarios", "", problemOfScenario)
  );
}

function problemOfScenario(scenario: Value, at: string): string | undefined {
  const subject = scenario["subject"];
  return (
    expectText(scenario, "name", at) ??
    expectText(scenario, "title", at) ??
    (typeof subject === "string" && Object.hasOwn(FIGURES, subject)
      ? undefined
      : wrong(`${at}subject`, subject, `one of ${Object.keys(FIGURES).join(", ")}`)) ??
    expectList(scenario, "ways", at, problemOfWay)
  );
}

function problemOfWay(way: Value, at: string): string | undefined {
  return (
    expectText(way, "name", at) ??
    expectRecord(way, "figures", at) ??
    expectRecord(way, "ratios", at) ??
    expectList(
      way,
      "rounds",
      at,
      (round, at) => expectList(round, "curve", at) ?? expectList(round, "memory", at),
    )
  );
}

function expectText(value: Value, name: string, at: string): string | undefined {
  return typeof value[name] === "string" ? undefined : wrong(at + name, value[name], "a text");
}

function expectRecord(value: Value, name: string, at: string): string | undefined {
  return isRecord(value[name]) ? undefined : wrong(at + name, value[name], "an object");
}

function expectList(
  value: Value,
  name: string,
  at: string,
  problemOf?: (one: Value, at: string) => string | undefined,
): string | undefined {
  const list = value[name];
  if (!Array.isArray(list)) return wrong(at + name, list, "a list");
  if (problemOf === undefined) return undefined;
  for (const [i, one] of list.entries()) {
    const place = `${at}${name}[${i}]`;
    const problem = isRecord(one) ? problemOf(one, `${place}.`) : wrong(place, one, "an object");
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function wrong(place: string, found: unknown, expected: string): string {
  return `${place}: found ${kindOf(found)}, expected ${expected}`;
}

function isRecord(value: unknown): value is Value {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Short, for a message. */
function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  return isRecord(value) ? "an object" : JSON.stringify(value);
}
