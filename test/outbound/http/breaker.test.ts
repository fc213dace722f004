import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import type { BreakerPolicy } from "../../../src/outbound/http/breaker.ts";
import type { ServedRequest } from "../../support/h2-exchange.ts";
import { fieldsOf, responseHead, send as sendBody } from "../../support/recording-app.ts";
import { NO_METADATA } from "../../../src/policy/endpoint.ts";
import { answering, endpointAt, FAILFAST_MS, get, MemoryBalancer, type Sent } from "./memory-balancer.ts";

const A = "192.0.2.1:80";
const B = "192.0.2.2:80";
const BACKOFF = { minMs: 1_000, maxMs: 60_000, jitter: 0 };

function after(maxFailures: number, isGrpc = false): BreakerPolicy {
  return { accrual: { kind: "consecutive", maxFailures, backoff: BACKOFF }, isGrpc };
}

/** What a client saw: the status, or the code of the error. */
function seen({ response }: Sent): number | string {
  return response.response?.status ?? response.error?.code ?? "nothing";
}

async function one(version: 1 | 2, breaker: BreakerPolicy): Promise<MemoryBalancer> {
  const balancer = new MemoryBalancer({ version, breaker });
  await balancer.add(A);
  return balancer;
}

/** Sends so many requests, one after the other. */
async function sendAll(balancer: MemoryBalancer, count: number, head?: () => ReturnType<typeof get>) {
  const all: (number | string)[] = [];
  for (let i = 0; i < count; i++) all.push(seen(await balancer.send(head?.())));
  return all;
}

const gone = new ProxyError("canceled", "the client left", { side: "downstream" });

describe("a circuit breaker in its balancer", () => {
  for (const version of [1, 2] as const) {
    test(`outbound 16.11: seven 5xx take an endpoint out, one request tries it after the pause (HTTP/${version})`, async () => {
      const balancer = new MemoryBalancer({ version, breaker: after(7) });
      const [bad, good] = [balancer.server(A), balancer.server(B)];
      bad.service.answer = answering(500);
      good.service.answer = answering(200);
      await balancer.add(A);
      assert.deepEqual(await sendAll(balancer, 7), Array(7).fill(500));
      await balancer.add(B);

      assert.deepEqual(await sendAll(balancer, 20), Array(20).fill(200));
      await balancer.advance(999);
      assert.deepEqual(await sendAll(balancer, 20), Array(20).fill(200));
      assert.equal(bad.service.requests.length, 7);

      // The trial is put to the endpoint that answered nothing for longest, and fails.
      await balancer.advance(1);
      const trial = await sendAll(balancer, 40);
      assert.deepEqual(
        [trial.filter((s) => s === 500).length, bad.service.requests.length],
        [1, 8],
        "exactly one request",
      );
      await balancer.advance(1_999);
      assert.equal((await sendAll(balancer, 20)).includes(500), false);
      await balancer.advance(1);
      bad.service.answer = answering(200);
      assert.deepEqual(await sendAll(balancer, 40), Array(40).fill(200));
      assert.ok(bad.service.requests.length > 9, `${bad.service.requests.length} requests: it is back`);
    });
  }

  test("outbound 16.11: 429s never take an endpoint out in consecutive mode", async () => {
    const balancer = await one(1, after(2));
    balancer.server(A).service.answer = answering(429);
    assert.deepEqual(await sendAll(balancer, 20), Array(20).fill(429));
  });

  test("outbound 7.4: 429s lower the success rate in unified mode, and do not bring an endpoint back", async () => {
    const balancer = await one(1, {
      accrual: {
        kind: "unified",
        maxConsecutiveFailures: 7,
        successRateThreshold: 0.8,
        windowMs: 10_000,
        minRequests: 5,
        backoff: BACKOFF,
      },
      isGrpc: false,
    });
    balancer.server(A).service.answer = answering(429);
    assert.deepEqual(await sendAll(balancer, 6), [...Array(5).fill(429), "nothing"]);
    await balancer.advance(1_000);
    assert.equal(balancer.server(A).service.requests.length, 6);
    // The one that waited was the trial: shut again, twice as long.
    const next = await balancer.send();
    await balancer.advance(1_999);
    assert.equal(seen(next), "nothing");
    balancer.server(A).service.answer = answering(200);
    await balancer.advance(1);
    assert.equal(seen(next), 200);
  });

  test("outbound 7.5: with all breakers shut requests wait for failfast, are then refused at once, until a trial succeeds", async () => {
    const balancer = new MemoryBalancer({
      breaker: {
        accrual: { kind: "consecutive", maxFailures: 1, backoff: { ...BACKOFF, minMs: 10_000 } },
        isGrpc: false,
      },
    });
    for (const at of [A, B]) balancer.server(at).service.answer = answering(503);
    await balancer.add(A, B);
    assert.deepEqual(await sendAll(balancer, 2), [503, 503]);
    const waiting = await balancer.send();
    await balancer.advance(FAILFAST_MS - 1);
    assert.deepEqual([seen(waiting), balancer.balancer.available], ["nothing", true]);
    await balancer.advance(1);
    assert.deepEqual([seen(waiting), balancer.balancer.available], ["failfast", false]);
    assert.equal(seen(await balancer.send()), "loadshed");

    for (const at of [A, B]) balancer.server(at).service.answer = answering(200);
    await balancer.advance(7_000);
    assert.equal(balancer.balancer.available, true, "the pause is over, though nobody asked");
    assert.deepEqual(await sendAll(balancer, 10), Array(10).fill(200));
  });

  test("outbound 7.3: of those who wait for an endpoint in probation one goes, and the others with its success", async () => {
    const balancer = await one(1, after(1));
    const { service } = balancer.server(A);
    service.answer = answering(500);
    await balancer.send();
    const waiting = [await balancer.send(), await balancer.send(), await balancer.send()];
    service.answer = undefined;
    await balancer.advance(1_000);
    assert.equal(service.requests.length, 2);
    await balancer.advance(1_000);
    assert.equal(service.requests.length, 2);
    service.answer = answering(200);
    answering(200)(service.at(1));
    await balancer.settle();
    assert.deepEqual(waiting.map(seen), [200, 200, 200]);
  });

  test("outbound 16.8: a refused HTTP/1 endpoint answers 502 at once each time, and its breaker counts them", async () => {
    const balancer = await one(1, after(3));
    balancer.server(A).refuses = true;
    assert.deepEqual(await sendAll(balancer, 4), [502, 502, 502, "nothing"]);
  });

  test("outbound 16.8: without a breaker it goes on answering 502", async () => {
    const balancer = new MemoryBalancer();
    balancer.server(A).refuses = true;
    await balancer.add(A);
    assert.deepEqual(await sendAll(balancer, 20), Array(20).fill(502));
  });

  test("outbound 7.2: a stream that is reset is a failure", async () => {
    const balancer = await one(2, after(1));
    balancer.server(A).service.answer = ({ response }) =>
      response.reset(new ProxyError("h2_reset", "no", { h2Code: 2, side: "upstream" }));
    assert.deepEqual(await sendAll(balancer, 2), ["h2_reset", "nothing"]);
  });

  test("outbound 7.2: a request that the client gives up before the response counts for nothing", async () => {
    const balancer = await one(2, after(1));
    for (let i = 0; i < 5; i++) (await balancer.send()).request.reset(gone);
    balancer.server(A).service.answer = answering(200);
    assert.equal(seen(await balancer.send()), 200);
  });

  test("outbound 7.2: one that a time limit of its route ends is a failure", async () => {
    for (const code of [
      "request_timeout",
      "response_timeout",
      "response_headers_timeout",
      "stream_idle_timeout",
    ] as const) {
      const balancer = await one(2, after(2));
      for (let i = 0; i < 2; i++) (await balancer.send()).request.reset(new ProxyError(code, "too slow"));
      balancer.server(A).service.answer = answering(200);
      assert.equal(seen(await balancer.send()), "nothing", code);
    }
  });

  test("outbound 7.2: so is one whose time is over at the endpoint itself", async () => {
    const balancer = await one(2, after(2));
    const slow = () => {
      const head = get(2);
      head.timeouts = {
        headersMs: undefined,
        responseMs: 100,
        idleMs: undefined,
        requestMs: undefined,
        deadlineMs: Infinity,
      };
      return head;
    };
    for (let i = 0; i < 2; i++) {
      const sent = await balancer.send(slow());
      await balancer.advance(100);
      assert.equal(seen(sent), "response_timeout");
    }
    balancer.server(A).service.answer = answering(200);
    assert.equal(seen(await balancer.send()), "nothing");
  });

  test("outbound 7.2: a response that the client leaves is judged by its status", async () => {
    for (const [status, next] of [
      [200, 200],
      [500, "nothing"],
    ] as const) {
      const balancer = await one(2, after(1));
      const { service } = balancer.server(A);
      service.answer = ({ response }) => response.head(responseHead(status), false);
      const left = await balancer.send();
      assert.equal(seen(left), status);
      left.request.reset(gone);
      service.answer = answering(200);
      assert.equal(seen(await balancer.send()), next);
    }
  });

  test("outbound 7.2: a long response counts when it ends, not when it starts", async () => {
    const balancer = await one(2, after(1));
    const { service } = balancer.server(A);
    service.answer = ({ response }) => response.head(responseHead(500), false);
    await balancer.send();
    await balancer.send();
    assert.equal(service.requests.length, 2);
    sendBody(service.at(0).response, "end", true);
    await balancer.settle();
    service.answer = answering(200);
    assert.equal(seen(await balancer.send()), "nothing");
  });

  test("a trial that the client gives up makes room for another", async () => {
    const balancer = await one(2, after(1));
    const { service } = balancer.server(A);
    service.answer = answering(500);
    await balancer.send();
    service.answer = undefined;
    await balancer.advance(1_000);
    const trial = await balancer.send();
    const waiting = await balancer.send();
    assert.deepEqual([service.requests.length, seen(waiting)], [2, "nothing"]);
    service.answer = answering(200);
    trial.request.reset(gone);
    await balancer.settle();
    assert.equal(seen(waiting), 200);
  });

  test("outbound 7.1: an endpoint whose metadata changed starts with a clean record, a known one keeps its own", async () => {
    const balancer = await one(1, after(1));
    const { service } = balancer.server(A);
    service.answer = answering(500);
    await balancer.send();
    service.answer = answering(200);
    const waiting = await balancer.send();
    balancer.balancer.update({ kind: "reset", endpoints: [endpointAt(A)] });
    await balancer.settle();
    assert.equal(seen(waiting), "nothing");
    balancer.balancer.update({
      kind: "reset",
      endpoints: [endpointAt(A, { ...NO_METADATA, zoneLocality: "local" })],
    });
    await balancer.settle();
    assert.equal(seen(waiting), 200);
  });

  test("an endpoint that is removed while it is shut leaves no timer", async () => {
    const balancer = await one(1, after(1));
    balancer.server(A).service.answer = answering(500);
    await balancer.send();
    assert.equal(balancer.clock.timers > 0, true);
    balancer.balancer.update({ kind: "reset", endpoints: [] });
    balancer.balancer.close();
    await balancer.settle();
    assert.equal(balancer.clock.timers, 0);
  });
});

describe("outbound 7.2: gRPC", () => {
  const CALL = "content-type: application/grpc+proto";
  const inTrailers =
    (code: string) =>
    ({ response }: ServedRequest): void => {
      response.head(responseHead(200, CALL), false);
      response.trailers(fieldsOf([`grpc-status: ${code}`]));
    };
  const inHead =
    (code: string) =>
    ({ response }: ServedRequest): void =>
      response.head(responseHead(200, CALL, `grpc-status: ${code}`), true);
  const without = ({ response }: ServedRequest): void => {
    response.head(responseHead(503, CALL), false);
    sendBody(response, "x", true);
  };
  const cases: readonly (readonly [string, (served: ServedRequest) => void, boolean])[] = [
    ...["2", "4", "7", "13", "14", "15", "99", "x"].map(
      (code) => [`${code} in trailers`, inTrailers(code), true] as const,
    ),
    ...["0", "1", "3", "5", "8", "12", "16"].map(
      (code) => [`${code} in trailers`, inTrailers(code), false] as const,
    ),
    ["14 in the head", inHead("14"), true],
    ["0 in the head", inHead("0"), false],
    ["no status, whatever HTTP says", without, false],
  ];
  for (const [what, answer, isFailure] of cases) {
    test(`${what} is ${isFailure ? "a failure" : "a success"}`, async () => {
      const balancer = await one(2, after(2));
      balancer.server(A).service.answer = answer;
      await sendAll(balancer, 3, () => get(2, CALL));
      assert.equal(balancer.server(A).service.requests.length, isFailure ? 2 : 3);
    });
  }

  test("counts where the policy is about gRPC, whatever the content type", async () => {
    for (const [isGrpc, served] of [
      [true, 1],
      [false, 2],
    ] as const) {
      const balancer = await one(2, after(1, isGrpc));
      balancer.server(A).service.answer = inTrailers("14");
      await sendAll(balancer, 2);
      assert.equal(balancer.server(A).service.requests.length, served);
    }
  });

  test("a stream that the client leaves is a success", async () => {
    const balancer = await one(2, after(1));
    const { service } = balancer.server(A);
    service.answer = ({ response }) => {
      response.head(responseHead(200, CALL), false);
      sendBody(response, "message", false);
    };
    for (let i = 0; i < 3; i++) (await balancer.send(get(2, CALL))).request.reset(gone);
    assert.equal(service.requests.length, 3);
  });
});
