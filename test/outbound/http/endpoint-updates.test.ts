import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import { NO_METADATA } from "../../../src/policy/endpoint.ts";
import { responseHead, send as sendBody } from "../../support/recording-app.ts";
import { addr } from "../scripted.ts";
import { answering, endpointAt, FAILFAST_MS, MemoryBalancer } from "./memory-balancer.ts";

const A = "192.0.2.1:80";
const B = "192.0.2.2:80";

for (const version of [1, 2] as const) {
  describe(`outbound 6.6: updates of the endpoints, HTTP/${version}`, () => {
    test("a removed endpoint finishes what it carries, takes nothing new and then closes", async () => {
      const balancer = new MemoryBalancer({ version });
      await balancer.add(A);
      const { service, pairs } = balancer.server(A);
      service.answer = ({ response }) => response.head(responseHead(200), false);
      const under = await balancer.send();
      balancer.balancer.update({ kind: "remove", addrs: [addr(A)] });
      balancer.server(B).service.answer = answering(204);
      await balancer.add(B);
      assert.equal((await balancer.send()).response.response?.status, 204);

      assert.equal(pairs[0]?.left.destroyed, false);
      sendBody(service.at(0).response, "finished", true);
      await balancer.settle();
      assert.deepEqual([under.response.text, under.response.ended], ["finished", true]);
      await balancer.advance(10_000);
      assert.equal(pairs[0]?.left.destroyed, true);
      assert.equal(service.requests.length, 1);
    });

    test("an endpoint that a reset does not name goes the same way, one that it names unchanged keeps its connection", async () => {
      const balancer = new MemoryBalancer({ version });
      for (const at of [A, B]) balancer.server(at).service.answer = answering(200);
      await balancer.add(A, B);
      for (let i = 0; i < 4; i++) await balancer.send();
      balancer.balancer.update({ kind: "reset", endpoints: [endpointAt(B)] });
      await balancer.settle();
      const before = balancer.server(A).service.requests.length;
      for (let i = 0; i < 10; i++) assert.equal((await balancer.send()).response.response?.status, 200);
      assert.equal(balancer.server(A).service.requests.length, before);
      assert.equal(balancer.server(B).pairs.length, 1);
    });

    test("an endpoint with other metadata replaces the one before, which finishes what it carries", async () => {
      const balancer = new MemoryBalancer({ version });
      await balancer.add(A);
      const { service, pairs } = balancer.server(A);
      service.answer = ({ response }) => response.head(responseHead(200), false);
      const under = await balancer.send();
      balancer.balancer.update({
        kind: "add",
        endpoints: [endpointAt(A, { ...NO_METADATA, zoneLocality: "remote" })],
      });
      await balancer.settle();
      service.answer = answering(204);
      assert.equal((await balancer.send()).response.response?.status, 204);
      assert.equal(pairs.length, 2);
      sendBody(service.at(0).response, "finished", true);
      await balancer.settle();
      assert.deepEqual([under.response.text, under.response.ended], ["finished", true]);
    });

    test("a balancer that nobody names any more still serves those who wait in it", async () => {
      const balancer = new MemoryBalancer({ version });
      const waiting = await balancer.send();
      balancer.balancer.close();
      assert.equal(balancer.resolutionEnded, false);
      balancer.server(A).service.answer = answering(200);
      await balancer.add(A);
      assert.equal(waiting.response.response?.status, 200);
      await balancer.advance(FAILFAST_MS);
      assert.equal(balancer.resolutionEnded, true);
      await balancer.advance(10_000);
      assert.equal(balancer.server(A).pairs[0]?.left.destroyed, true);
      assert.equal(balancer.clock.timers, 0);
    });

    test("and lets them wait in vain no longer than otherwise", async () => {
      const balancer = new MemoryBalancer({ version });
      const waiting = await balancer.send();
      await balancer.advance(1_000);
      balancer.balancer.close();
      await balancer.advance(FAILFAST_MS - 1_001);
      assert.deepEqual(waiting.response.events, []);
      await balancer.advance(1);
      assert.equal(waiting.response.error?.code, "failfast");
      await balancer.advance(FAILFAST_MS);
      assert.deepEqual([balancer.resolutionEnded, balancer.clock.timers], [true, 0]);
    });

    test("outbound 1.5: when the resolution fails for good, so do those who wait and those who come", async () => {
      const balancer = new MemoryBalancer({ version });
      const waiting = await balancer.send();
      balancer.balancer.failed(new ProxyError("pool_failed", "resolving web: not an address"));
      for (const { response } of [waiting, await balancer.send()]) {
        assert.equal(response.error?.code, "pool_failed");
        assert.match(response.error?.message ?? "", /pool failed: resolving web/);
      }
      assert.equal(
        balancer.balancer.available,
        true,
        "not failfast: another attempt would meet the same error",
      );
    });
  });
}

test("a request that waits for its connection when its endpoint is removed is still sent", async () => {
  const balancer = new MemoryBalancer({ version: 1 });
  await balancer.add(A);
  balancer.server(A).service.answer = answering(200);
  const sending = balancer.send();
  balancer.balancer.update({ kind: "remove", addrs: [addr(A)] });
  const { response } = await sending;
  assert.deepEqual([response.response?.status, response.error?.message], [200, undefined]);
});

test("outbound 6.4: an endpoint whose HTTP/2 connection is lost is pending until it is connected again", async () => {
  const balancer = new MemoryBalancer({ version: 2 });
  await balancer.add(A, B);
  for (const at of [A, B]) balancer.server(at).service.answer = answering(200);
  balancer.server(A).refuses = true;
  balancer.server(A).pairs[0]?.right.destroy();
  await balancer.settle();
  const before = balancer.server(A).service.requests.length;
  for (let i = 0; i < 10; i++) assert.equal((await balancer.send()).response.response?.status, 200);
  assert.equal(balancer.server(A).service.requests.length, before);
  await balancer.advance(100);
  balancer.server(A).refuses = false;
  await balancer.advance(200);
  balancer.server(B).refuses = true;
  balancer.server(B).pairs[0]?.right.destroy();
  await balancer.settle();
  assert.equal((await balancer.send()).response.response?.status, 200);
  assert.equal(balancer.server(A).service.requests.length, before + 1);
});
