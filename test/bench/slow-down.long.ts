import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "./run-bench.ts";

test("a proxy that takes 20 us more for each request misses them, by name", async () => {
  const { code, err } = await check("--slow-down", "20", "--rounds", "1", "--warm-up", "0.4");
  assert.equal(code, 1, err);
  assert.match(err, /Budget missed: one hop, HTTP\/2, beside node:http2: found \d/);
});
