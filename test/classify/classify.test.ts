import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failureHint } from "../../src/classify/failure-hint.ts";
import { classifyGrpc, grpcStatusName, isGrpcDegraded, parseGrpcStatus } from "../../src/classify/grpc.ts";
import { classifyHttp, isHttpDegraded } from "../../src/classify/http.ts";
import { parseRetryAfter, parseRetryPushback } from "../../src/classify/retry-after.ts";

test("an HTTP response fails from 500 to 599", () => {
  for (const status of [101, 200, 304, 404, 429, 499, 600, 999])
    assert.equal(classifyHttp(status), "success");
  for (const status of [500, 501, 503, 599]) assert.equal(classifyHttp(status), "failure");
});

test("a gRPC response fails by what the service could not do", () => {
  const failures = Array.from({ length: 18 }, (_, code) => code).filter(
    (code) => classifyGrpc(code) === "failure",
  );
  assert.deepEqual(failures, [2, 4, 7, 13, 14, 15]);
  assert.equal(classifyGrpc(undefined), "success");
});

test("overload is told from failure", () => {
  assert.deepEqual([429, 503, 200].map(isHttpDegraded), [true, false, false]);
  assert.deepEqual([8, 14, undefined].map(isGrpcDegraded), [true, false, false]);
});

test("a gRPC status is one of the seventeen codes, written as they are", () => {
  for (let code = 0; code <= 16; code++) assert.equal(parseGrpcStatus(String(code)), code);
  for (const text of ["", "17", "00", "014", "-1", "1.0", "0x1", " 1", "99", "x"])
    assert.equal(parseGrpcStatus(text), undefined, text);
});

test("gRPC codes have their canonical names, others are unknown", () => {
  assert.deepEqual([0, 1, 2, 8, 16].map(grpcStatusName), [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
  ]);
  assert.deepEqual([17, -1, 1.5, Number.NaN].map(grpcStatusName), Array(4).fill("UNKNOWN"));
});

test("a failure hint comes from the status, or from the gRPC status of a 200", () => {
  assert.deepEqual(
    [429, 503, 500, 504, 404, 200].map((s) => failureHint(s, undefined)),
    ["rate_limited", "unavailable", "internal", "internal", undefined, undefined],
  );
  assert.deepEqual(
    [8, 14, 2, 4, 13, 15, 0, 7].map((code) => failureHint(200, code)),
    ["rate_limited", "unavailable", "internal", "internal", "internal", "internal", undefined, undefined],
  );
  assert.equal(failureHint(404, 14), undefined);
});

describe("Retry-After", () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5);
  const cases: readonly (readonly [text: string, ms: number | undefined])[] = [
    ["0", 0],
    ["120", 120_000],
    [" 7 ", 7000],
    ["Fri, 02 Jan 2026 03:04:35 GMT", 30_000],
    ["Fri, 02 Jan 2026 03:04:00 GMT", 0],
    ["Fri, 99 Jan 2026 03:04:35 GMT", undefined],
    ["Friday, 02-Jan-26 03:04:35 GMT", 30_000],
    ["Saturday, 02-Jan-99 03:04:35 GMT", 0],
    ["Fri Jan  2 03:04:35 2026", 30_000],
    ["Tue, 31 Feb 2026 03:04:35 GMT", undefined],
    ["Fri, 02 Jam 2026 03:04:35 GMT", undefined],
    ["Fri, 02 Jan 2026 25:04:35 GMT", undefined],
    ["2026-01-02T03:04:35Z", undefined],
    ["-1", undefined],
    ["1.5", undefined],
    ["1e3", undefined],
    ["", undefined],
    ["soon", undefined],
  ];
  for (const [text, ms] of cases) {
    test(`reads "${text}" as ${ms}`, () => assert.equal(parseRetryAfter(text, now), ms));
  }
});

test("a pushback is a non-negative 32-bit number of milliseconds", () => {
  assert.deepEqual(["0", "250", "2147483647"].map(parseRetryPushback), [0, 250, 2 ** 31 - 1]);
  for (const text of ["-1", "2147483648", "1.5", "", "x", "99999999999"]) {
    assert.equal(parseRetryPushback(text), undefined);
  }
});
