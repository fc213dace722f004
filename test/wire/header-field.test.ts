import assert from "node:assert/strict";
import { test } from "node:test";
import {
  findField,
  headerField,
  headerName,
  internField,
  NameRole,
  removeFields,
} from "../../src/wire/header-field.ts";
import { STATIC_TABLE } from "../../src/wire/hpack/static-table.ts";

test("a name is one object, and knows what it is for", () => {
  assert.equal(headerName("content-length"), headerName("content-length"));
  assert.equal(headerName("content-length").role, NameRole.contentLength);
  assert.equal(headerName(":unheard-of").role, NameRole.otherPseudo);
  assert.equal(headerName("x-anything").role, NameRole.ordinary);
});

test("names too long to be remembered are still found by their text", () => {
  const long = "x".repeat(200);
  assert.equal(headerName(long).shared, false);
  const fields = [headerField(headerName(long), "1")];
  assert.equal(findField(fields, headerName(long))?.value, "1");
  removeFields(fields, headerName(long));
  assert.deepEqual(fields, []);
});

test("fields of the static table keep their index however many others are interned", () => {
  const status = headerName(":status");
  const before = internField(status, "404");
  assert.equal(STATIC_TABLE[before.staticIndex - 1], before);
  const name = headerName("x-flood");
  for (let i = 0; i < 20_000; i++) internField(name, String(i));
  assert.equal(internField(status, "404"), before);
});

test("removing a name keeps the others in order", () => {
  const [a, b, c] = ["a", "b", "a"].map((name, i) => headerField(headerName(name), String(i)));
  assert.ok(a && b && c);
  const fields = [a, b, c];
  removeFields(fields, headerName("a"));
  assert.deepEqual(fields, [b]);
});
