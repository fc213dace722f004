import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseLines, parseLinesOrList, resourceAttributes } from "../../src/telemetry/attributes.ts";

const NOTHING = {
  pid: 7,
  startedAtSeconds: 1_700_000_000,
  hostName: undefined,
  serviceName: undefined,
  file: undefined,
  extra: undefined,
  otel: undefined,
};

describe("attributes of the process", () => {
  it("inbound 10: are read from lines, without the quotes of the downward API", () => {
    const text = [
      'cluster="test"',
      "zone=us-east",
      'app.kubernetes.io/name="a=b"',
      "empty=",
      'quoted=""',
      "twice==x",
      "no equals sign",
      " blank = kept ",
      "",
    ].join("\n");
    assert.deepEqual(parseLines(text), [
      ["cluster", "test"],
      ["zone", "us-east"],
      ["app.kubernetes.io/name", "a=b"],
      ["empty", ""],
      ["quoted", ""],
      ["twice", "=x"],
      [" blank ", " kept "],
    ]);
    assert.deepEqual(parseLines("a=1\r\nb=2\r\n"), [
      ["a", "1"],
      ["b", "2"],
    ]);
  });

  it("inbound 10: of OTEL_RESOURCE_ATTRIBUTES are lines, or without a line break a list", () => {
    assert.deepEqual(parseLinesOrList("a=1,2\nb=3"), [
      ["a", "1,2"],
      ["b", "3"],
    ]);
    assert.deepEqual(parseLinesOrList("a=1, b=x%20y ,c,d=100%"), [
      ["a", "1"],
      ["b", "x y"],
      ["d", "100%"],
    ]);
  });

  it("inbound 10: of a later source win over those of an earlier one", () => {
    const own = { "process.pid": 7, "process.start_timestamp": 1_700_000_000 };
    assert.deepEqual(Object.fromEntries(resourceAttributes(NOTHING)), own);
    const all = {
      ...NOTHING,
      hostName: "web-0",
      serviceName: "by variable",
      file: 'service.name="by file"\nf=1\ng=1\nh=1',
      extra: "g=2\nh=2",
      otel: "h=3",
    };
    assert.deepEqual(Object.fromEntries(resourceAttributes(all)), {
      ...own,
      "host.name": "web-0",
      "service.name": "by file",
      f: "1",
      g: "2",
      h: "3",
    });
  });
});
