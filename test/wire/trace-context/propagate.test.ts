import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import * as fc from "fast-check";
import { headerField, headerName, type HeaderField } from "../../../src/wire/header-field.ts";
import { TRACE_VALUE_CHARS } from "../../../src/wire/limits.ts";
import { findTraceContext, replaceParent } from "../../../src/wire/trace-context/propagate.ts";
import { isReportable } from "../../../src/wire/trace-context/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const SPAN = "1122334455667788";
const W3C = `00-${TRACE}-${PARENT}-01`;
const bin = (hex: string): string => Buffer.from(hex, "hex").toString("base64");
const GRPC = bin(`0000${TRACE}01${PARENT}0201`);

function fields(...lines: readonly (readonly [string, string])[]): HeaderField[] {
  return lines.map(([name, value]) => headerField(headerName(name), value));
}
function lines(list: readonly HeaderField[]): string[] {
  return list.map(({ name, value }) => `${name.text}: ${value}`);
}

describe("inbound 10: a trace context is read from", () => {
  const cases: readonly (readonly [string, readonly (readonly [string, string])[], object | undefined])[] = [
    [
      "traceparent",
      [["traceparent", W3C]],
      { format: "traceparent", traceId: TRACE, parentId: PARENT, flags: 1 },
    ],
    ["one that is not sampled", [["traceparent", `00-${TRACE}-${PARENT}-00`]], { flags: 0 }],
    [
      "upper case",
      [["traceparent", `00-${TRACE.toUpperCase()}-${PARENT}-01`]],
      { traceId: TRACE, parentId: PARENT },
    ],
    ["short ids, padded", [["traceparent", "00-a1b2-c3-01"]], { traceId: "a1b2".padStart(32, "0") }],
    ["flags of more bytes, of which the first counts", [["traceparent", `${W3C}ff`]], { flags: 1 }],
    ["flags beyond sampling", [["traceparent", `00-${TRACE}-${PARENT}-fe`]], { flags: 0xfe }],
    [
      "grpc-trace-bin",
      [["grpc-trace-bin", GRPC]],
      { format: "grpc-trace-bin", traceId: TRACE, parentId: PARENT, flags: 1 },
    ],
    ["grpc-trace-bin without padding", [["grpc-trace-bin", GRPC.replace(/=+$/, "")]], { traceId: TRACE }],
    [
      "grpc-trace-bin of any version, fields in any order",
      [["grpc-trace-bin", bin(`0701${PARENT}00${TRACE}`)]],
      { traceId: TRACE, parentId: PARENT, flags: 0 },
    ],
    [
      "grpc-trace-bin up to a field that nobody knows",
      [["grpc-trace-bin", bin(`0000${TRACE}01${PARENT}090201`)]],
      { traceId: TRACE, flags: 0 },
    ],
    [
      "B3",
      [
        ["x-b3-traceid", TRACE],
        ["x-b3-spanid", PARENT],
        ["x-b3-sampled", "1"],
      ],
      { format: "b3", traceId: TRACE, parentId: PARENT, flags: 1 },
    ],
    [
      "B3 with a trace id of eight bytes, padded",
      [
        ["x-b3-spanid", "ab"],
        ["x-b3-traceid", PARENT],
        ["x-b3-sampled", "true"],
      ],
      { traceId: PARENT.padStart(32, "0"), parentId: "ab".padStart(16, "0"), flags: 0 },
    ],
    [
      "traceparent before the others",
      [
        ["x-b3-spanid", PARENT],
        ["x-b3-traceid", TRACE],
        ["grpc-trace-bin", GRPC],
        ["traceparent", W3C],
      ],
      { format: "traceparent" },
    ],
    [
      "grpc-trace-bin before B3, where traceparent is none",
      [
        ["traceparent", "00-0-0-"],
        ["x-b3-spanid", PARENT],
        ["x-b3-traceid", TRACE],
        ["grpc-trace-bin", GRPC],
      ],
      { format: "grpc-trace-bin" },
    ],
    [
      "nothing but a traceparent of another version",
      [["traceparent", `01-${TRACE}-${PARENT}-01`]],
      undefined,
    ],
    ["a traceparent without version", [["traceparent", `${TRACE}-${PARENT}-01`]], undefined],
    ["a trace id of zeros", [["traceparent", `00-${"0".repeat(32)}-${PARENT}-01`]], undefined],
    ["a parent of zeros", [["traceparent", `00-${TRACE}-${"0".repeat(16)}-01`]], undefined],
    ["an id of half bytes", [["traceparent", `00-${TRACE}1-${PARENT}-01`]], undefined],
    ["an id that is no hexadecimal", [["traceparent", `00-${TRACE}-${PARENT.slice(1)}x-01`]], undefined],
    ["quirk 16: empty flags", [["traceparent", `00-${TRACE}-${PARENT}-`]], undefined],
    ["flags of half a byte", [["traceparent", `00-${TRACE}-${PARENT}-1`]], undefined],
    ["a field more than there is", [["traceparent", `${W3C}-x`]], undefined],
    ["a field less", [["traceparent", `00-${TRACE}-${PARENT}`]], undefined],
    ["a grpc-trace-bin that is cut off", [["grpc-trace-bin", bin(`0000${TRACE}01${PARENT}02`)]], undefined],
    ["a grpc-trace-bin without a span", [["grpc-trace-bin", bin(`0000${TRACE}0201`)]], undefined],
    ["base64 of another alphabet", [["grpc-trace-bin", GRPC.replace(/[A-Z]/, "-")]], undefined],
    ["an empty grpc-trace-bin", [["grpc-trace-bin", ""]], undefined],
    ["B3 without a span", [["x-b3-traceid", TRACE]], undefined],
    ["a request without any", [["accept", "*/*"]], undefined],
    ["what is too long to be looked at", [["traceparent", W3C + "0".repeat(TRACE_VALUE_CHARS)]], undefined],
  ];
  for (const [name, given, expected] of cases) {
    it(`${name}${expected === undefined ? " is no context" : ""}`, () => {
      const found = findTraceContext(fields(...given));
      if (expected === undefined) assert.equal(found, undefined);
      else assert.deepEqual({ ...found, ...expected }, found);
    });
  }
});

describe("inbound 10: the next hop learns its parent", () => {
  const rewritten = (...given: readonly (readonly [string, string])[]): string[] => {
    const list = fields(...given);
    const context = findTraceContext(list);
    assert.ok(context);
    replaceParent(list, context, SPAN);
    return lines(list);
  };

  it("in traceparent, with everything else as it was", () => {
    const list = rewritten(["a", "1"], ["traceparent", W3C], ["tracestate", "x=y"], ["x-b3-spanid", PARENT]);
    assert.deepEqual(list, [
      "a: 1",
      `traceparent: 00-${TRACE}-${SPAN}-01`,
      "tracestate: x=y",
      `x-b3-spanid: ${PARENT}`,
    ]);
  });
  it("in grpc-trace-bin", () => {
    const list = rewritten(["grpc-trace-bin", GRPC]);
    assert.deepEqual(list, [`grpc-trace-bin: ${bin(`0000${TRACE}01${SPAN}0201`)}`]);
  });
  it("in x-b3-spanid alone", () => {
    const b3 = [
      ["x-b3-traceid", "ab"],
      ["x-b3-spanid", PARENT],
      ["x-b3-parentspanid", "cd"],
    ] as const;
    const list = rewritten(...b3);
    assert.deepEqual(list, ["x-b3-traceid: ab", `x-b3-spanid: ${SPAN}`, "x-b3-parentspanid: cd"]);
  });
  it("once, where a client sent the header more than once", () => {
    const list = rewritten(["traceparent", W3C], ["b", "2"], ["traceparent", "nonsense"]);
    assert.deepEqual(list, [`traceparent: 00-${TRACE}-${SPAN}-01`, "b: 2"]);
  });
  it("with ids of another length kept, of which no span can be told", () => {
    const list = fields(["traceparent", `00-ff${TRACE}-${PARENT}-01`]);
    const context = findTraceContext(list);
    assert.ok(context);
    assert.equal(isReportable(context), false);
    replaceParent(list, context, SPAN);
    assert.deepEqual(lines(list), [`traceparent: 00-ff${TRACE}-${SPAN}-01`]);
  });
});

test("invariant 32: whatever stands in a trace header is read without a throw, and what is written is read again", () => {
  const bytes = fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b).toString("latin1"));
  const id = (bytes: number): fc.Arbitrary<string> =>
    fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString("hex"));
  const likely = fc
    .tuple(
      fc.constantFrom("00", "01", ""),
      fc.oneof(id(16), id(3), fc.string()),
      id(8),
      fc.constantFrom("01", "00", "", "0"),
    )
    .map((parts) => parts.join("-"));
  const value = fc.oneof(likely, id(8), id(16), bytes, fc.base64String());
  const name = fc.constantFrom(
    "traceparent",
    "grpc-trace-bin",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), id(8), (given, span) => {
      const list = fields(...given);
      const context = findTraceContext(list);
      if (context === undefined || /^0*$/.test(span)) return;
      replaceParent(list, context, span);
      assert.deepEqual(findTraceContext(list), { ...context, parentId: span });
    }),
  );
});
