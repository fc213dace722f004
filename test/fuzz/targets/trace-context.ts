/** Headers by which strangers say where a request stands in a trace. */
import assert from "node:assert/strict";
import { headerField, headerName, type HeaderField } from "../../../src/wire/header-field.ts";
import { findTraceContext, replaceParent } from "../../../src/wire/trace-context/propagate.ts";
import { isReportable } from "../../../src/wire/trace-context/trace-context.ts";
import { words, type FuzzTarget, type Input } from "../target.ts";

const NAMES = ["traceparent", "grpc-trace-bin", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"];
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const SPAN = "1122334455667788";

/** A field a line: the first byte chooses its name. */
function fieldsOf(input: Input): HeaderField[] {
  const found: HeaderField[] = [];
  for (const line of Buffer.concat(input).toString("latin1").split("\n")) {
    const name = NAMES[line.charCodeAt(0) % NAMES.length];
    if (name !== undefined) found.push(headerField(headerName(name), line.slice(1)));
  }
  return found;
}
const line = (name: string, value: string): string => `${String.fromCharCode(NAMES.indexOf(name))}${value}`;

export const traceContext: FuzzTarget = {
  name: "trace-context",
  dictionary: words("\n", "-", "00-", "-01", TRACE, PARENT, "=", "\0", "\x01", "\x02", "\x03", "\x04"),
  seeds: () => {
    const binary = Buffer.from(`0000${TRACE}01${PARENT}0201`, "hex").toString("base64");
    return [
      [line("traceparent", `00-${TRACE}-${PARENT}-01`)],
      [line("grpc-trace-bin", binary)],
      [line("x-b3-traceid", TRACE), line("x-b3-spanid", PARENT), line("x-b3-sampled", "1")],
    ].map((lines) => words(lines.join("\n")));
  },
  run: (input) => {
    const fields = fieldsOf(input);
    const context = findTraceContext(fields);
    if (context === undefined) return ["none"];
    replaceParent(fields, context, SPAN);
    assert.deepEqual(findTraceContext(fields), { ...context, parentId: SPAN });
    return [`${context.format}, ${isReportable(context) ? "reported" : "passed on"}`];
  },
};
