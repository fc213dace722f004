import assert from "node:assert/strict";
import { test } from "node:test";
import { compileRegex, REGEX_PROGRAM_MAX, REGEX_SOURCE_MAX, REGEX_WORK_MAX } from "../../src/policy/regex.ts";
import { regex } from "./requests.ts";

const cases: readonly (readonly [source: string, text: string, matches: boolean])[] = [
  ["/users/[0-9]+", "/users/42", true],
  ["/users/[0-9]+", "/users/42/", false],
  ["/users/[0-9]+", "x/users/42", false],
  ["(?i)abc", "ABC", true],
  ["", "", true],
  ["", "x", false],
  ["a|ab", "a", true],
  ["a|ab", "ab", false],
  ["ab|a", "ab", true],
  ["a*(ab)?", "aab", false],
  ["a*?", "aaa", false],
  ["(?:a|ab)$", "ab", true],
  ["^/x$", "/x", true],
  [".*", "a\nb", false],
  ["(?s).*", "a\nb", true],
];
for (const [source, text, matches] of cases) {
  test(`/${source}/ ${matches ? "matches" : "does not match"} ${JSON.stringify(text)}`, () => {
    assert.equal(regex(source).matchesWhole(text), matches);
  });
}

for (const source of ["(", "a{2,1}", "(?=a)", "(a)\\1", "[z-a]", "(?<=a)b"]) {
  test(`refuses ${source} and says why`, () => {
    const result = compileRegex(source);
    assert.ok(!result.ok);
    assert.ok(result.problem.includes(source), result.problem);
  });
}

test("refuses a pattern that is too long or compiles to too many instructions", () => {
  assert.ok(!compileRegex("a".repeat(REGEX_SOURCE_MAX + 1)).ok);
  assert.ok(!compileRegex("(?:abcdefghij){200}").ok);
  assert.ok(compileRegex("a".repeat(REGEX_PROGRAM_MAX - 10)).ok);
});

test("judges no value whose match could cost more than the budget", () => {
  const small = regex("a*");
  assert.ok(small.maxLength > 65_534, "every path fits a small pattern");
  assert.ok(small.matchesWhole("a".repeat(65_534)));
  const large = regex("(?:ab?){300}.*");
  assert.ok(large.maxLength < REGEX_WORK_MAX / 300);
  assert.ok(large.matchesWhole("a".repeat(large.maxLength)));
  assert.ok(!large.matchesWhole("a".repeat(large.maxLength + 1)));
});

test("invariant 32: patterns that make other engines backtrack cost little time", () => {
  const hard = regex("(a*)*b|(x+x+)+y|(.*)*z");
  const text = "a".repeat(hard.maxLength > 32_768 ? 32_768 : hard.maxLength);
  hard.matchesWhole(text);
  const start = performance.now();
  assert.ok(!hard.matchesWhole(text));
  assert.ok(performance.now() - start < 100);
});
