import assert from "node:assert/strict";
import { test } from "node:test";
import { grown, parseSamples, valuesOf } from "../../../src/cli/demo/samples.ts";

test("samples are read with their labels, and comments are not", () => {
  const page = '# HELP a Some "a"\n# TYPE a counter\na{x="1",y="q\\"u\\\\o\\nte"} 3\nb 1.5\n\n';
  assert.deepEqual(parseSamples(page), [
    {
      name: "a",
      labels: new Map([
        ["x", "1"],
        ["y", 'q"u\\o\nte'],
      ]),
      value: 3,
    },
    { name: "b", labels: new Map(), value: 1.5 },
  ]);
});

test("only series that rose have grown, new ones from nothing", () => {
  const before = parseSamples('hits{port="1"} 2\nhits{port="2"} 5\n');
  const after = parseSamples('hits{port="1"} 2\nhits{port="2"} 6\nhits{port="3"} 1\nhits{port="4"} 0\n');
  const query = { name: "hits", labels: {} };
  assert.deepEqual(valuesOf(grown(before, after, query), "port"), ["2", "3"]);
});

test("a query takes the series that have all of its labels", () => {
  const after = parseSamples('hits{a="1",b="1"} 1\nhits{a="1",b="2"} 1\nother{a="1",b="2"} 1\n');
  const found = grown([], after, { name: "hits", labels: { b: "2" } });
  assert.deepEqual(found, [
    {
      name: "hits",
      labels: new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
      value: 1,
    },
  ]);
});
