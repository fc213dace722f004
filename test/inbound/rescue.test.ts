import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError, type ErrorCode, type ErrorDetail } from "../../src/errors/proxy-error.ts";
import type { ResponseHead } from "../../src/http/message.ts";
import { RescueService } from "../../src/http/respond.ts";
import { errorLabel, requestErrorLabel } from "../../src/inbound/errors.ts";
import { INBOUND_RESCUE } from "../../src/inbound/rescue.ts";
import { field, requestHead } from "../support/h2-exchange.ts";

const GRPC = field("content-type", "application/grpc");

/** What a client gets for an error before the response head: status, closing, fields; or how its stream is reset. */
function answerTo(error: ProxyError, isGrpc: boolean): string {
  let answer = "";
  const failing = {
    call: (_head: unknown, _last: boolean, response: { reset(error: ProxyError): void }) => {
      response.reset(error);
      return SINK;
    },
  };
  const service = new RescueService(failing, {
    table: INBOUND_RESCUE,
    outermost: true,
    informationalHeaders: true,
    onError: () => {},
  });
  const head = requestHead("POST", "/", ...(isGrpc ? [GRPC] : []));
  service.call(head, true, {
    ...SINK,
    head: ({ status, closeConnection, fields }: ResponseHead) => {
      const shown = fields
        .filter(({ name }) => name.text !== "date")
        .map(({ name, value }) => `${name.text}=${value}`);
      answer = [status, closeConnection ? "close" : "keep", ...shown].join(" ");
    },
    reset: ({ code }) => (answer = `reset ${code}`),
  });
  return answer;
}
const SINK = { data() {}, trailers() {}, reset() {}, credit() {} };

const TABLE: readonly (readonly [ErrorCode, ErrorDetail, number, number, "close" | "keep"])[] = [
  ["io", {}, 502, 14, "close"],
  ["upstream_closed", {}, 502, 14, "close"],
  ["bad_message", {}, 502, 14, "close"],
  ["connect_timeout", {}, 504, 4, "close"],
  ["failfast", {}, 504, 4, "close"],
  ["loadshed", {}, 503, 14, "close"],
  ["route_not_found", {}, 404, 5, "keep"],
  ["gateway_domain_invalid", {}, 404, 5, "keep"],
  ["unauthorized", {}, 403, 7, "keep"],
  ["rate_limited", {}, 429, 8, "keep"],
  ["redirected", { status: 301, location: "http://b.test/" }, 301, 5, "keep"],
  ["redirected", { status: 308, location: "http://b.test/" }, 308, 5, "keep"],
  ["injected_failure", { status: 418 }, 418, 9, "keep"],
  ["injected_failure", { status: 500, grpcStatus: 12 }, 500, 12, "keep"],
  ["invalid_policy", {}, 500, 13, "close"],
];

for (const [code, detail, status, grpcStatus, connection] of TABLE) {
  test(`inbound 7.5: ${code} is ${status}, or ${grpcStatus} to gRPC, and the connection: ${connection}`, () => {
    const error = new ProxyError(code, "the reason", detail);
    const closing = connection === "close" ? " l5d-proxy-connection=close" : "";
    const location = detail.location === undefined ? "" : ` location=${detail.location}`;
    assert.equal(
      answerTo(error, false),
      `${status} ${connection} content-length=0${location} l5d-proxy-error=the reason${closing}`,
    );
    assert.equal(
      answerTo(error, true),
      `200 ${connection} content-length=0 content-type=application/grpc grpc-status=${grpcStatus} ` +
        `grpc-message=the reason l5d-proxy-error=the reason${closing}`,
    );
  });
}

test("inbound 7.5: errors of the application's HTTP/2 are passed on as they are", () => {
  for (const code of ["h2_reset", "h2_goaway"] as const) {
    for (const isGrpc of [false, true]) {
      assert.equal(answerTo(new ProxyError(code, "reset", { h2Code: 8 }), isGrpc), `reset ${code}`);
    }
  }
});

test("inbound 7.5: anything else is 500 or 13, closing, and does not say why", () => {
  for (const code of ["unexpected", "no_authority", "pool_failed", "shutting_down"] as const) {
    const error = new ProxyError(code, "a secret of the house");
    assert.match(answerTo(error, false), /^500 close content-length=0 l5d-proxy-error=unexpected error /);
    assert.match(answerTo(error, true), /^200 close .* grpc-status=13 .*l5d-proxy-error=unexpected error /);
  }
});

test("inbound 7.5: a reason that no header can carry is not told", () => {
  const answer = answerTo(new ProxyError("io", "caf\u00e9\r\nx: y"), false);
  assert.match(answer, /l5d-proxy-error=unexpected error/);
});

test("inbound 7.5: errors are counted by kind, and what has a count of its own is not counted again", () => {
  const labels = (label: (error: ProxyError) => string | undefined): Record<string, string | undefined> =>
    Object.fromEntries(
      (
        [
          ["failfast", {}],
          ["loadshed", {}],
          ["gateway_domain_invalid", {}],
          ["io", {}],
          ["connect_timeout", {}],
          ["tls_detect_timeout", {}],
          ["unexpected", {}],
          ["h2_reset", {}],
          ["unauthorized", {}],
          ["route_not_found", {}],
          ["rate_limited", {}],
        ] as const
      ).map(([code]) => [code, label(new ProxyError(code, ""))]),
    );
  const common = {
    failfast: "failfast",
    loadshed: "loadshed",
    gateway_domain_invalid: "gateway domain invalid",
    tls_detect_timeout: "tls detection timeout",
    unexpected: "unexpected",
    h2_reset: "unexpected",
    unauthorized: undefined,
    route_not_found: undefined,
    rate_limited: undefined,
  };
  assert.deepEqual(labels(errorLabel), { ...common, io: "i/o", connect_timeout: "unexpected" });
  // An application that cannot be reached counts by its response.
  assert.deepEqual(labels(requestErrorLabel), { ...common, io: undefined, connect_timeout: undefined });
});
