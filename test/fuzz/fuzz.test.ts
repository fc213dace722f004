import assert from "node:assert/strict";
import { test } from "node:test";
import { Fuzzer } from "./fuzzer.ts";
import { TARGETS } from "./targets.ts";

/** `npm run fuzz` goes on for as long as it is told. */
const SEED = 1;
const TIME_MS = 400;
const EXECUTIONS = 2_000;

for (const target of TARGETS) {
  test(`${target.name} keeps its promises for mutated bytes`, async () => {
    const fuzzer = new Fuzzer(target, SEED);
    await fuzzer.start();
    const endMs = performance.now() + TIME_MS;
    await fuzzer.run(() => fuzzer.executions >= EXECUTIONS || performance.now() > endMs);
    assert.deepEqual(
      fuzzer.findings.map(({ input, problem }) => `${problem}\n${JSON.stringify(input.map(String))}`),
      [],
    );
    assert.ok(fuzzer.features.size > 1, "nothing but one outcome was reached");
  });
}
