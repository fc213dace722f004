import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError, type ErrorCode, type ErrorDetail } from "../../../src/errors/proxy-error.ts";
import { ResponseHead, statusField, type HttpVersion } from "../../../src/http/message.ts";
import {
  areRetryableTrailers,
  isRetryableError,
  judgeHead,
  type RetryPolicy,
} from "../../../src/outbound/http/retry-policy.ts";
import { fieldsOf } from "../../support/recording-app.ts";

const NONE: RetryPolicy = {
  statusRanges: undefined,
  codes: undefined,
  maxRetries: 1,
  maxRequestBytes: 65_536,
  timeoutMs: undefined,
  backoff: undefined,
};
const HTTP: RetryPolicy = {
  ...NONE,
  statusRanges: [
    { low: 500, high: 502 },
    { low: 429, high: 429 },
  ],
};
const GRPC: RetryPolicy = { ...NONE, codes: new Set([14]) };
const BOTH: RetryPolicy = { ...HTTP, codes: GRPC.codes };

function judge(policy: RetryPolicy, version: HttpVersion, status: number, last: boolean, ...lines: string[]) {
  return judgeHead(policy, new ResponseHead(version, status, statusField(status), fieldsOf(lines)), last);
}

test("outbound 8.2: statuses within the ranges are retried", () => {
  const statuses = [200, 428, 429, 430, 499, 500, 502, 503].map((status) => judge(HTTP, 11, status, true));
  assert.deepEqual(statuses, ["final", "final", "retry", "final", "final", "retry", "retry", "final"]);
  assert.equal(judge(NONE, 11, 500, true), "final");
  assert.equal(judge({ ...NONE, statusRanges: [] }, 11, 500, true), "final");
});

test("outbound 8.2: a gRPC code in the head decides, whatever can be read", () => {
  assert.equal(judge(GRPC, 20, 200, true, "grpc-status: 14"), "retry");
  assert.equal(judge(GRPC, 20, 200, false, "grpc-status: 14"), "retry");
  assert.equal(judge(GRPC, 20, 200, false, "grpc-status: 13"), "final");
  assert.equal(judge(GRPC, 20, 200, false, "grpc-status: bad"), "final");
  assert.equal(judge(BOTH, 20, 500, true, "grpc-status: 13"), "retry");
});

test("outbound 8.4: trailers are waited for where they decide: HTTP/2, a body, codes to look for, none in the head", () => {
  assert.equal(judge(GRPC, 20, 200, false), "peek");
  assert.equal(judge(GRPC, 20, 200, true), "final");
  assert.equal(judge(GRPC, 11, 200, false), "final");
  assert.equal(judge(HTTP, 20, 200, false), "final");
  assert.equal(judge(BOTH, 20, 500, false), "retry");
  assert.equal(areRetryableTrailers(GRPC, fieldsOf(["grpc-status: 14"])), true);
  assert.equal(areRetryableTrailers(GRPC, fieldsOf(["grpc-status: 0"])), false);
  assert.equal(areRetryableTrailers(GRPC, []), false);
});

test("outbound 8.2: of failures without a response only those are retried that another attempt may spare", () => {
  const cases: readonly (readonly [ErrorCode, boolean, ErrorDetail?])[] = [
    ["failfast", true],
    ["response_headers_timeout", true],
    ["h2_reset", true, { h2Code: 7 }],
    ["h2_goaway", true, { h2Code: 0 }],
    ["h2_reset", false, { h2Code: 8 }],
    ["h2_reset", false, { h2Code: 2 }],
    ["loadshed", false],
    ["request_timeout", false],
    ["response_timeout", false],
    ["stream_idle_timeout", false],
    ["io", false],
    ["connect_timeout", false],
    ["canceled", false],
    ["redirected", false],
    ["injected_failure", false],
    ["fail_dispatcher", false],
    ["require_id", false],
  ];
  for (const [code, expected, detail] of cases) {
    assert.equal(isRetryableError(new ProxyError(code, "why", detail)), expected, code);
  }
});
