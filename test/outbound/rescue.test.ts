import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError, type ErrorCode, type ErrorDetail } from "../../src/errors/proxy-error.ts";
import { DiscardSink, type HttpService } from "../../src/http/message.ts";
import { RescueService, type RescueRow } from "../../src/http/respond.ts";
import { CLIENT_RESCUE, ORIG_PROTO_RESCUE, SERVER_RESCUE } from "../../src/outbound/rescue.ts";
import { field, RecordingSink, requestHead, responseHead } from "../support/h2-exchange.ts";
import { textOf } from "../support/recording-app.ts";

type Expected =
  | readonly [status: number, grpcStatus: number, connection: "close" | "keep"]
  | "passes"
  | "reset";
type Row = readonly [ErrorCode, Expected, ErrorDetail?];

/** Outbound 11.1. */
const CLIENT: readonly Row[] = [
  ["io", [502, 14, "close"]],
  ["upstream_closed", [502, 14, "close"]],
  ["bad_message", [502, 14, "close"]],
  ["tls_identity", [502, 14, "close"]],
  ["connect_timeout", [504, 4, "close"]],
  ["failfast", "passes"],
  ["response_headers_timeout", "passes"],
  ["response_timeout", "passes"],
  ["request_timeout", "passes"],
  ["stream_idle_timeout", "passes"],
  ["require_id", "passes"],
];
const H2_ERRORS: readonly Row[] = [
  ["h2_reset", "passes", { h2Code: 7 }],
  ["h2_goaway", "passes", { h2Code: 0 }],
];
const DOWNGRADED: readonly Row[] = [
  ["h2_reset", [502, 14, "close"], { h2Code: 7 }],
  ["h2_goaway", [502, 14, "close"], { h2Code: 0 }],
];

/** Outbound 11.2, by the number of the row. */
const SERVER: readonly (readonly [string, ...Row])[] = [
  ["1", "failfast", [504, 4, "close"]],
  ["2", "loadshed", [503, 14, "close"]],
  ["3", "response_headers_timeout", [504, 4, "keep"]],
  ["3", "response_timeout", [504, 4, "keep"]],
  ["3", "request_timeout", [504, 4, "keep"]],
  ["3, upload", "stream_idle_timeout", [504, 4, "keep"]],
  ["4", "profile_timeout", [504, 4, "close"]],
  ["5", "require_id", [502, 14, "close"]],
  ["6", "fail_dispatcher", [502, 14, "close"]],
  ["7", "route_not_found", [404, 5, "keep"]],
  ["8", "redirected", [307, 5, "keep"], { status: 307, location: "http://x.test/" }],
  ["9", "injected_failure", [418, 9, "keep"], { status: 418 }],
  ["10", "injected_failure", [200, 12, "keep"], { status: 200, grpcStatus: 12 }],
  ["11", "h2_reset", "reset", { h2Code: 11 }],
  ["11", "h2_goaway", "reset", { h2Code: 0 }],
  ["12", "pool_failed", [500, 13, "close"]],
  ["12", "invalid_policy", [500, 13, "close"]],
  ["12", "no_authority", [500, 13, "close"]],
  ["12", "shutting_down", [500, 13, "close"]],
  ["12", "unexpected", [500, 13, "close"]],
];

const OWN_TEXT = new Set<ErrorCode>([
  "pool_failed",
  "invalid_policy",
  "no_authority",
  "shutting_down",
  "unexpected",
]);

interface Asked {
  readonly version: 11 | 20;
  readonly grpc: boolean;
  readonly informationalHeaders?: boolean;
  /** The response has begun. */
  readonly started?: boolean;
}

function outcome(
  table: readonly RescueRow[],
  outermost: boolean,
  [code, , detail]: Row,
  asked: Asked,
): RecordingSink {
  const { version, grpc, informationalHeaders = true, started = false } = asked;
  const failing: HttpService = {
    call: (_head, _last, response) => {
      if (started) response.head(responseHead(200), false);
      response.reset(new ProxyError(code, "why", detail));
      return new DiscardSink(response);
    },
  };
  const head = requestHead("POST", "/", ...(grpc ? [field("content-type", "application/grpc+proto")] : []));
  head.version = version;
  const response = new RecordingSink();
  const options = { table, outermost, informationalHeaders, onError: () => {} };
  new RescueService(failing, options).call(head, true, response);
  return response;
}

const PLAIN: Asked = { version: 11, grpc: false };
const GRPC: Asked = { version: 20, grpc: true };

function check(table: readonly RescueRow[], outermost: boolean, row: Row): void {
  const [code, expected, detail] = row;
  if (expected === "passes" || expected === "reset") {
    for (const asked of [PLAIN, GRPC]) {
      const { events, error } = outcome(table, outermost, row, asked);
      assert.deepEqual(events, [`reset ${code}`]);
      assert.equal(error?.detail.h2Code, detail?.h2Code);
    }
    return;
  }
  const [status, grpcStatus, connection] = expected;
  const text = OWN_TEXT.has(code) ? "unexpected error" : "why";
  const closing = connection === "close" ? ["l5d-proxy-connection: close"] : [];
  const location = detail?.location === undefined ? [] : [`location: ${detail.location}`];

  const plain = outcome(table, outermost, row, PLAIN);
  assert.deepEqual(plain.events, [`head ${status}`, "last"]);
  assert.equal(plain.response?.closeConnection, connection === "close");
  const fields = ["content-length: 0", ...location, `l5d-proxy-error: ${text}`, ...closing];
  assert.deepEqual(textOf(plain.response?.fields ?? []), fields);

  const grpc = outcome(table, outermost, row, GRPC);
  assert.deepEqual(grpc.events, ["head 200", "last"]);
  assert.equal(grpc.response?.closeConnection, connection === "close");
  assert.deepEqual(textOf(grpc.response?.fields ?? []), [
    "content-length: 0",
    "content-type: application/grpc",
    `grpc-status: ${grpcStatus}`,
    `grpc-message: ${text}`,
    `l5d-proxy-error: ${text}`,
    ...closing,
  ]);

  const silent = outcome(table, outermost, row, { ...GRPC, informationalHeaders: false });
  assert.deepEqual(textOf(silent.response?.fields ?? []), [
    "content-length: 0",
    "content-type: application/grpc",
    `grpc-status: ${grpcStatus}`,
  ]);
  const quiet = outcome(table, outermost, row, { ...PLAIN, informationalHeaders: false });
  assert.deepEqual(textOf(quiet.response?.fields ?? []), ["content-length: 0", ...location]);
  // gRPC is HTTP/2: the same content type in HTTP/1 changes nothing.
  assert.equal(outcome(table, outermost, row, { version: 11, grpc: true }).events[0], `head ${status}`);
}

for (const row of CLIENT)
  test(`outbound 11.1: ${row[0]} at an endpoint`, () => check(CLIENT_RESCUE, false, row));
for (const row of H2_ERRORS)
  test(`outbound 11.1: ${row[0]} at an endpoint that the application speaks HTTP/2 with`, () =>
    check(CLIENT_RESCUE, false, row));
for (const row of [...DOWNGRADED, ...CLIENT])
  test(`outbound 11.1: ${row[0]} at an endpoint that takes HTTP/1 over HTTP/2`, () =>
    check(ORIG_PROTO_RESCUE, false, row));
for (const [number, ...row] of SERVER)
  test(`outbound 11.2 row ${number}: ${row[0]} ${row[2]?.grpcStatus ?? ""}`, () =>
    check(SERVER_RESCUE, true, row));

test("outbound 11: no error has two rows", () => {
  for (const table of [CLIENT_RESCUE, ORIG_PROTO_RESCUE, SERVER_RESCUE]) {
    assert.equal(new Set(table.map(({ code }) => code)).size, table.length);
  }
});

test("outbound 9, 11.3: a timeout inside of a body is trailers of status 13 for gRPC, and a break for all others", () => {
  const codes = ["response_timeout", "request_timeout", "stream_idle_timeout"] as const;
  for (const code of codes) {
    const row: Row = [code, "passes"];
    const grpc = outcome(SERVER_RESCUE, true, row, { ...GRPC, started: true });
    assert.deepEqual(grpc.events, ["head 200", "trailers"]);
    assert.deepEqual(textOf(grpc.trailerFields ?? []), ["grpc-status: 13", "grpc-message: unexpected error"]);
    for (const version of [11, 20] as const) {
      const plain = outcome(SERVER_RESCUE, true, row, { version, grpc: false, started: true });
      assert.deepEqual(plain.events, ["head 200", `reset ${code}`]);
    }
    const endpoint = outcome(CLIENT_RESCUE, false, row, { ...GRPC, started: true });
    assert.deepEqual(endpoint.events, ["head 200", `reset ${code}`]);
  }
});

test("outbound 11.3: a body that the server broke off keeps the status of its row, an HTTP/2 reset its code", () => {
  const io = outcome(SERVER_RESCUE, true, ["io", "passes"], { ...GRPC, started: true });
  assert.deepEqual(textOf(io.trailerFields ?? []), ["grpc-status: 14", "grpc-message: why"]);
  const reset = outcome(SERVER_RESCUE, true, ["h2_reset", "reset", { h2Code: 11 }], {
    ...GRPC,
    started: true,
  });
  assert.deepEqual([reset.events, reset.error?.detail.h2Code], [["head 200", "reset h2_reset"], 11]);
});
