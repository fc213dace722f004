import assert from "node:assert/strict";
import { test } from "node:test";
import { overrideRetry, takeOverrides } from "../../../src/outbound/http/request-overrides.ts";
import type { RetryPolicy } from "../../../src/outbound/http/retry-policy.ts";
import { fieldsOf, textOf } from "../../support/recording-app.ts";

function overrides(...lines: readonly string[]) {
  return takeOverrides(fieldsOf(lines));
}

test("outbound 8.6: every header of timeouts and retries is taken out, valid or not, and nothing else", () => {
  const fields = fieldsOf([
    "a: 1",
    "l5d-retry-http: 5xx",
    "l5d-retry-grpc: nonsense",
    "l5d-retry-limit: -1",
    "b: 2",
    "l5d-retry-timeout: soon",
    "l5d-timeout: 1s",
    "l5d-request-timeout: 2s",
    "l5d-response-timeout: 3s",
    "l5d-timeout: 9s",
    "l5d-dst-override: x",
  ]);
  assert.notEqual(takeOverrides(fields), undefined);
  assert.deepEqual(textOf(fields), ["a: 1", "b: 2", "l5d-dst-override: x"]);
  assert.equal(takeOverrides(fields), undefined);
  assert.equal(fields.length, 3);
});

test("outbound 8.6: l5d-retry-http is a list of statuses, ranges and words", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["5xx", ["500-599"]],
    ["5XX,Gateway-Error", ["500-599", "502-504"]],
    ["429,500-502", ["429-429", "500-502"]],
    ["100,599", ["100-100", "599-599"]],
    ["99,600,502-500,4xx,503", ["503-503"]],
    // Blanks are part of an item.
    ["5xx, 429", ["500-599"]],
    // Nothing is retried then: it takes the place of what the rule says.
    ["never", []],
    ["", []],
  ];
  for (const [list, expected] of cases) {
    const ranges = overrides(`l5d-retry-http: ${list}`)?.statusRanges?.map(
      ({ low, high }) => `${low}-${high}`,
    );
    assert.deepEqual(ranges, expected, list);
  }
});

test("outbound 8.6: l5d-retry-grpc is a list of codes by name", () => {
  const codes = (list: string): number[] => [...(overrides(`l5d-retry-grpc: ${list}`)?.codes ?? [])];
  assert.deepEqual(
    codes("cancelled,deadline-exceeded,internal,resource-exhausted,Unavailable"),
    [1, 4, 13, 8, 14],
  );
  assert.deepEqual(codes("unknown,14, internal"), []);
});

test("outbound 8.6: l5d-request-timeout goes before l5d-timeout, a valid one before one that is not", () => {
  assert.equal(overrides("l5d-timeout: 1s", "l5d-request-timeout: 2s")?.requestMs, 2_000);
  assert.equal(overrides("l5d-timeout: 1s", "l5d-request-timeout: 2")?.requestMs, 1_000);
  assert.equal(overrides("l5d-timeout: 0")?.requestMs, 0);
  assert.equal(overrides("l5d-response-timeout: 50ms")?.responseMs, 50);
});

const RULE: RetryPolicy = {
  statusRanges: [{ low: 500, high: 500 }],
  codes: undefined,
  maxRetries: 3,
  maxRequestBytes: 100,
  timeoutMs: 1_000,
  backoff: undefined,
};

function retryOf(rule: RetryPolicy | undefined, ...lines: readonly string[]): RetryPolicy | undefined {
  const found = overrides(...lines);
  return found === undefined ? rule : overrideRetry(rule, found);
}

test("outbound 8.6: headers replace what the rule says, part by part", () => {
  assert.deepEqual(retryOf(RULE, "l5d-retry-limit: 7"), { ...RULE, maxRetries: 7 });
  assert.deepEqual(retryOf(RULE, "l5d-retry-timeout: 5ms"), { ...RULE, timeoutMs: 5 });
  assert.deepEqual(retryOf(RULE, "l5d-retry-http: no"), { ...RULE, statusRanges: [] });
  assert.deepEqual(retryOf(RULE, "l5d-retry-grpc: internal"), { ...RULE, codes: new Set([13]) });
  assert.deepEqual(retryOf(RULE, "l5d-timeout: 1s"), RULE);
});

test("outbound 8.6: without retries in the rule any valid retry header asks for one, with 64 KiB and 25 to 250 ms", () => {
  const asked = {
    statusRanges: undefined,
    codes: undefined,
    maxRetries: 1,
    maxRequestBytes: 65_536,
    timeoutMs: undefined,
    backoff: { minMs: 25, maxMs: 250, jitter: 1 },
  };
  assert.deepEqual(retryOf(undefined, "l5d-retry-http: 503"), {
    ...asked,
    statusRanges: [{ low: 503, high: 503 }],
  });
  assert.deepEqual(retryOf(undefined, "l5d-retry-limit: 0"), { ...asked, maxRetries: 0 });
  assert.deepEqual(retryOf(undefined, "l5d-retry-timeout: 1s"), { ...asked, timeoutMs: 1_000 });
  assert.equal(retryOf(undefined, "l5d-retry-limit: many"), undefined);
  assert.equal(retryOf(undefined, "l5d-timeout: 1s"), undefined);
});
