import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { readFinding, writeFinding } from "./finding-file.ts";
import { Fuzzer } from "./fuzzer.ts";
import { InputBuffer } from "./input-buffer.ts";
import { words, type FuzzTarget, type Input } from "./target.ts";
import { TARGETS } from "./targets.ts";

/** `npm run fuzz` goes on for as long as it is told. */
const SEED = 1;
const TIME_MS = 350;
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

/** Breaks its promise behind three steps that chance alone would not take at once. */
const LOCKED: FuzzTarget = {
  name: "locked",
  dictionary: words("open"),
  seeds: () => [words("door")],
  run: (input) => {
    const text = Buffer.concat(input).toString("latin1");
    const steps = ["open", "openopen", "openopenopen"].filter((step) => text.includes(step));
    if (steps.length === 3) throw new Error("unlocked");
    return steps;
  },
};

describe("the fuzzer", () => {
  test("gets behind what it reached before, and finds the same again with the same seed", async () => {
    const found: Input[] = [];
    for (const _ of [1, 2]) {
      const fuzzer = new Fuzzer(LOCKED, SEED);
      await fuzzer.start();
      await fuzzer.run(() => fuzzer.findings.length > 0 || fuzzer.executions > 50_000);
      const [finding] = fuzzer.findings;
      assert.match(finding?.problem ?? "", /^Error: unlocked/);
      found.push(finding?.input ?? []);
    }
    assert.deepEqual(found[0], found[1]);
  });

  test("tells the same problem once", async () => {
    const fuzzer = new Fuzzer({ ...LOCKED, run: () => assert.fail("always") }, SEED);
    await fuzzer.start();
    await fuzzer.run(() => fuzzer.executions >= 20);
    assert.equal(fuzzer.findings.length, 1);
  });

  test("takes an input that is far too slow for a finding", async () => {
    const run = (): readonly string[] => {
      for (const endMs = performance.now() + 5; performance.now() < endMs;);
      return [];
    };
    const fuzzer = new Fuzzer({ ...LOCKED, run, slowMs: 2 }, SEED);
    await fuzzer.start();
    await fuzzer.run(() => true);
    assert.match(fuzzer.findings[0]?.problem ?? "", /^took \d+ ms$/);
  });

  test("writes findings that can be read again, byte for byte", () => {
    const finding = { target: "x", input: [Buffer.from([0, 255, 10]), Buffer.alloc(0)], problem: "broke" };
    const file = writeFinding(finding);
    try {
      assert.deepEqual(readFinding(file), finding);
    } finally {
      rmSync(file);
    }
    assert.throws(
      () => readFinding(new URL("../../package.json", import.meta.url).pathname),
      /is no finding/,
    );
  });

  test("shows the input under way to other threads", () => {
    const mine = new InputBuffer();
    const theirs = new InputBuffer(mine.shared);
    mine.write("h2-server", [Buffer.from("ab"), Buffer.alloc(0), Buffer.from([0, 1])]);
    assert.equal(theirs.execution, 1);
    assert.deepEqual(theirs.read(), {
      target: "h2-server",
      input: [Buffer.from("ab"), Buffer.alloc(0), Buffer.from([0, 1])],
    });
  });
});
