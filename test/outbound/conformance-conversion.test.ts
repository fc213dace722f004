/** What the control plane may say without effect, and what it need not say: statements without another test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { clientPolicyFromProto } from "../../src/control/convert/client-policy.ts";
import { endpointFromProto } from "../../src/control/convert/endpoint.ts";
import { WeightedAddrSchema } from "../../src/proto/gen/destination_pb.js";
import { OutboundPolicySchema } from "../../src/proto/gen/outbound_pb.js";
import { must } from "./scripted.ts";

const DETECT_TIMEOUT_MS = 5_000;
const metadata = { default: "test" };

/** One policy twice: what has no effect, said in two ways. */
function policy(says: "little" | "much") {
  const much = says === "much";
  const backoff = { minBackoff: "1s", maxBackoff: "1s", respectRetryAfterHint: much };
  const backend = {
    metadata,
    queue: { capacity: much ? 7 : 100, failfastTimeout: much ? "3600s" : "1s" },
    balancer: {
      discovery: { dst: { path: "web.shop:80" } },
      penaltyPeakEwma: much ? { penaltyDecay: "3600s" } : {},
    },
  };
  const arm = { backend, ...(much ? { requestTimeout: "3600s" } : {}) };
  const http = {
    routes: [{ metadata, rules: [{ backends: { firstAvailable: { backends: [arm] } } }] }],
    failureAccrual: {
      consecutiveFailures: { maxFailures: 7, backoff },
      ...(much ? { ejection: { minReadyEndpoints: 3 } } : {}),
    },
  };
  return read({ detect: { timeout: much ? "3600s" : "1s", opaque: {}, http1: http, http2: http } });
}

function read(protocol: JsonValue) {
  const message = fromJson(OutboundPolicySchema, { metadata, protocol });
  return must(clientPolicyFromProto(message, DETECT_TIMEOUT_MS));
}

test("outbound 4.1: timeouts of detection and backends, queues, ejection, Retry-After and penalty decay of a policy have no effect", () => {
  assert.deepEqual(policy("much"), policy("little"));
});

test("outbound 4.1, 6.6: the weight of an endpoint has no effect", () => {
  const addr = { ip: { ip: { case: "ipv4", value: 0xc0000201 } }, port: 80 } as const;
  const weighing = (weight: number) => endpointFromProto(create(WeightedAddrSchema, { addr, weight }));
  assert.notEqual(weighing(1), undefined);
  assert.deepEqual(weighing(1), weighing(10_000));
  assert.deepEqual(weighing(0), weighing(10_000));
});

test("outbound 4.3: a failure that is injected without a ratio is injected always", () => {
  const rule = { backends: { empty: {} }, filters: [{ failureInjector: { status: 418, message: "tea" } }] };
  const { protocol } = read({ http1: { routes: [{ metadata, rules: [rule] }] } });
  assert.ok(protocol.kind === "http1");
  assert.deepEqual(protocol.http1.routes[0]?.rules[0]?.filters, [
    { kind: "http_failure", status: 418, message: "tea", ratio: { numerator: 1, denominator: 1 } },
  ]);
});
