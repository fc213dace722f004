import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import { hintOf } from "../../../src/outbound/http/judged-exchange.ts";
import type { LoadParams } from "../../../src/policy/client-policy.ts";
import { responseHead, send as sendBody } from "../../support/recording-app.ts";
import { answering, get, MemoryBalancer } from "./memory-balancer.ts";

const A = "192.0.2.1:80";
const B = "192.0.2.2:80";
const GONE = new ProxyError("h2_reset", "gone", { h2Code: 8 });
const PENALTY: LoadParams = {
  kind: "penalty_peak_ewma",
  defaultRttMs: 30,
  decayMs: 10_000,
  penaltyMs: 5_000,
  maxRetryAfterMs: 300_000,
};

/** Always draws A first, so that it is chosen unless B costs less. */
async function two(version: 1 | 2, load?: LoadParams): Promise<MemoryBalancer> {
  const balancer = new MemoryBalancer({ version, random: () => 0, ...(load === undefined ? {} : { load }) });
  await balancer.add(A, B);
  balancer.server(B).service.answer = answering(200);
  return balancer;
}

async function goesTo(balancer: MemoryBalancer): Promise<"A" | "B"> {
  const before = balancer.server(A).service.requests.length;
  await balancer.send();
  return balancer.server(A).service.requests.length > before ? "A" : "B";
}

describe("outbound 6.2: load", () => {
  const CALL = "content-type: application/grpc";

  test("outbound 16.10: streaming RPCs are no load after their first message, however long they last", async () => {
    const balancer = await two(2);
    const { service } = balancer.server(A);
    service.answer = ({ response }) => response.head(responseHead(200, CALL), false);
    await balancer.send(get(2, CALL));
    assert.equal(await goesTo(balancer), "B", "the head alone is no message");
    sendBody(service.at(0).response, "message", false);
    await balancer.settle();
    for (let i = 1; i < 5; i++) {
      await balancer.send(get(2, CALL));
      assert.equal(service.requests.length, i + 1, "A costs no more than B");
      sendBody(service.at(i).response, "message", false);
      await balancer.settle();
    }
  });

  test("a response that ends with its head, in trailers or by a reset is over at once", async () => {
    const balancer = await two(2);
    const { service } = balancer.server(A);
    for (const end of ["head", "trailers", "reset"] as const) {
      service.answer = ({ response }) => {
        response.head(responseHead(200, CALL), end === "head");
        if (end === "trailers") response.trailers([]);
        if (end === "reset") response.reset(GONE);
      };
      assert.equal(await goesTo(balancer), "A", end);
    }
    assert.equal(await goesTo(balancer), "A");
  });

  test("requests that are given up count with the time they took", async () => {
    const balancer = await two(1);
    const given = await balancer.send();
    await balancer.advance(500);
    given.request.reset(GONE);
    await balancer.settle();
    assert.equal(await goesTo(balancer), "B");
  });

  test("a refused connection counts with the time it took, which is why 502s attract no fewer requests", async () => {
    const balancer = await two(1);
    balancer.server(A).refuses = true;
    assert.equal((await balancer.send()).response.response?.status, 502);
    balancer.server(A).refuses = false;
    assert.equal(await goesTo(balancer), "A");
  });
});

describe("outbound 6.3: failing responses as load", () => {
  test("a failing response makes its endpoint costly, where the policy asks for it", async () => {
    for (const [load, next] of [
      [PENALTY, "B"],
      [undefined, "A"],
    ] as const) {
      const balancer = await two(1, load);
      balancer.server(A).service.answer = answering(503);
      assert.equal(await goesTo(balancer), "A");
      assert.equal(await goesTo(balancer), next);
    }
  });

  test("from its head on, before its body has come", async () => {
    const balancer = await two(2, PENALTY);
    const [a, b] = [balancer.server(A).service, balancer.server(B).service];
    a.answer = ({ response }) => response.head(responseHead(500), false);
    b.answer = undefined;
    assert.equal(await goesTo(balancer), "A");
    // Three that wait cost 120 ms, the body that is still to come would cost 60 ms.
    for (let i = 0; i < 4; i++) assert.equal(await goesTo(balancer), "B");
  });

  test("good responses are no more load than otherwise", async () => {
    const balancer = await two(1, PENALTY);
    balancer.server(A).service.answer = answering(404);
    for (let i = 0; i < 5; i++) assert.equal(await goesTo(balancer), "A");
  });

  const GRPC = "content-type: application/grpc+proto";
  const hints: readonly (readonly [string, number, readonly string[], object | undefined])[] = [
    ["429 waits as told", 429, ["retry-after: 7"], { kind: "rate_limited", retryAfterMs: 7_000 }],
    ["503 waits as told", 503, ["retry-after: 7"], { kind: "unavailable", retryAfterMs: 7_000 }],
    ["503 without a word", 503, [], { kind: "unavailable", retryAfterMs: undefined }],
    ["500 is told nothing", 500, ["retry-after: 7"], { kind: "internal", retryAfterMs: undefined }],
    ["200 is fine", 200, ["retry-after: 7"], undefined],
    ["404 is fine", 404, ["retry-after: 7"], undefined],
    [
      "pushback is for gRPC alone",
      503,
      ["grpc-retry-pushback-ms: 9"],
      { kind: "unavailable", retryAfterMs: undefined },
    ],
    [
      "gRPC 8 with pushback",
      200,
      [GRPC, "grpc-status: 8", "grpc-retry-pushback-ms: 9"],
      { kind: "rate_limited", retryAfterMs: 9 },
    ],
    [
      "gRPC 14 with pushback",
      200,
      [GRPC, "grpc-status: 14", "grpc-retry-pushback-ms: 9"],
      { kind: "unavailable", retryAfterMs: 9 },
    ],
    [
      "gRPC 14 that asks for no retry",
      200,
      [GRPC, "grpc-status: 14", "grpc-retry-pushback-ms: -1"],
      { kind: "unavailable", retryAfterMs: undefined },
    ],
    [
      "gRPC with Retry-After",
      200,
      [GRPC, "grpc-status: 14", "retry-after: 7"],
      { kind: "unavailable", retryAfterMs: undefined },
    ],
    [
      "gRPC 13",
      200,
      [GRPC, "grpc-status: 13", "grpc-retry-pushback-ms: 9"],
      { kind: "internal", retryAfterMs: undefined },
    ],
    ["gRPC 0", 200, [GRPC, "grpc-status: 0"], undefined],
    ["gRPC nonsense", 200, [GRPC, "grpc-status: 0x0e"], undefined],
    ["a status without gRPC", 200, ["grpc-status: 14"], undefined],
    ["503 with gRPC", 503, [GRPC, "retry-after: 7"], { kind: "unavailable", retryAfterMs: 7_000 }],
  ];
  for (const [what, status, fields, hint] of hints) {
    test(`a hint: ${what}`, () => assert.deepEqual(hintOf(responseHead(status, ...fields)), hint));
  }
});
