import assert from "node:assert/strict";
import { test } from "node:test";
import { HELP, parseOptions } from "../../bench/options.ts";

test("rounds are as many as were asked for, else until the ratios stand: sooner given up where much is measured", () => {
  assert.deepEqual(parseOptions(["--rounds", "3"]).rounds, { atLeast: 3, atMost: 3 });
  assert.deepEqual(parseOptions(["--scenario", "hop-http1"]).rounds, { atLeast: 6, atMost: 24 });
  for (const args of [[], ["--scenario", "all"], ["--check"]]) {
    assert.deepEqual(parseOptions(args).rounds, { atLeast: 6, atMost: 8 });
  }
});

test("the help names every option, within the width of a terminal", () => {
  for (const flag of ["--rounds", "--seconds", "--scenario", "--against", "--check", "--short", "--json"]) {
    assert.match(HELP, new RegExp(`^  ${flag} `, "m"));
  }
  for (const line of HELP.split("\n")) assert.ok(line.length <= 120, line);
});
