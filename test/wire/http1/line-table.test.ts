import assert from "node:assert/strict";
import { test } from "node:test";
import { knownFieldLine, parseFieldLine } from "../../../src/wire/http1/field-line.ts";
import { hashLine, LineTable } from "../../../src/wire/http1/line-table.ts";

const line = (text: string): Buffer => Buffer.from(text, "latin1");

test("a line is admitted when it comes a second time, and then found by its bytes", () => {
  const table = new LineTable<string>(16);
  const bytes = line("x: y");
  const hash = hashLine(bytes, 0, 4);
  assert.equal(table.find(bytes, 0, 4, hash), undefined);
  assert.equal(table.admits(4, hash), false);
  assert.equal(table.admits(4, hash), true);
  table.keep(bytes, 0, 4, hash, "value");
  bytes.fill(0);
  const again = line("..x: y");
  assert.equal(table.find(again, 2, 6, hash)?.value, "value");
});

test("lines that share a hash are told apart, and the last two of them stay", () => {
  const table = new LineTable<string>(16);
  for (const text of ["a", "b", "c"]) table.keep(line(text), 0, 1, 7, text);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((text) => table.find(line(text), 0, 1, 7)?.value),
    [undefined, "b", "c", undefined],
  );
});

test("long lines are never admitted", () => {
  const table = new LineTable<string>(16);
  assert.equal(table.admits(257, 1), false);
  assert.equal(table.admits(257, 1), false);
});

test("a field line that repeats is one shared object, whatever it was cut from", () => {
  const bytes = line("X-Repeated:  Value \t");
  const hash = hashLine(bytes, 0, bytes.length);
  parseFieldLine(bytes, 0, bytes.length, hash);
  const second = parseFieldLine(bytes, 0, bytes.length, hash);
  const third = knownFieldLine(line("X-Repeated:  Value \t"), 0, bytes.length, hash)?.value;
  assert.equal(second?.name.text, "x-repeated");
  assert.equal(second?.value, "Value");
  assert.equal(second?.interned, true);
  assert.equal(third, second);
});
