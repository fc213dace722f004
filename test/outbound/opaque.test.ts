import assert from "node:assert/strict";
import { test } from "node:test";
import { createServer } from "node:net";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { OpaqueStack } from "../../src/outbound/opaque.ts";
import type { Backend, ClientPolicy, OpaqueClientRoute } from "../../src/policy/client-policy.ts";
import { NO_METADATA } from "../../src/policy/endpoint.ts";
import type { Filter } from "../../src/policy/filter.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { DEFAULT_LOAD } from "../../src/policy/synthesize.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { addr, name, ScriptedControlPlane, scriptedContext } from "./scripted.ts";

const balanced: Backend = {
  meta: metaDefault("db"),
  dispatcher: { kind: "balance", path: name("db.shop.svc.cluster.local:5432"), load: DEFAULT_LOAD },
};

function policyOf(
  backend: Backend,
  filters: readonly Filter[] = [],
  route: Partial<OpaqueClientRoute> = {},
): ClientPolicy {
  return {
    parent: metaDefault("parent"),
    protocol: {
      kind: "opaque",
      opaque: {
        meta: metaDefault("route"),
        filters: [],
        distribution: { kind: "first_available", backends: [{ backend, filters }] },
        ...route,
      },
    },
  };
}

function stackOf(policy: ClientPolicy): {
  clock: FakeClock;
  control: ScriptedControlPlane;
  watch: WatchCell<ClientPolicy>;
  stack: OpaqueStack;
} {
  const clock = new FakeClock();
  const control = new ScriptedControlPlane();
  const watch = new WatchCell(policy);
  const context = scriptedContext(clock, control);
  const stack = new OpaqueStack(watch, { ...context, queueCapacity: 2, failfastTimeoutMs: 3_000 });
  return { clock, control, watch, stack };
}

const code = (expected: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ProxyError);
  assert.equal(error.code, expected);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};
const connect = (stack: OpaqueStack) => stack.connect(new AbortController().signal);

test("a filter of the backend refuses the connection, and says why", async () => {
  const filter: Filter = { kind: "internal_error", message: "forbidden by the route's backend" };
  const { stack, clock } = stackOf(policyOf(balanced, [filter]));
  await assert.rejects(connect(stack), code("invalid_policy", /forbidden by the route's backend/));
  assert.equal(clock.timers, 0);
});

test("a filter of the route refuses the connection", async () => {
  const { stack } = stackOf(policyOf(balanced, [], { filters: [{ kind: "forbidden" }] }));
  await assert.rejects(connect(stack), code("unauthorized"));
});

test("connections wait for endpoints until failfast, and later ones are refused at once until there is one", async (t) => {
  const { stack, clock, control } = stackOf(policyOf(balanced));
  const waiting = connect(stack);
  clock.advance(2_999);
  const another = connect(stack);
  clock.advance(1);
  await assert.rejects(waiting, code("failfast"));
  await assert.rejects(another, code("failfast"));
  await assert.rejects(connect(stack), code("loadshed"));
  const server = createServer((socket) => socket.on("error", () => {}).end("hello"));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const endpoint = { addr: addr(`127.0.0.1:${address.port}`), metadata: NO_METADATA };
  control.resolutions[0]?.listener.update({ kind: "reset", endpoints: [endpoint] });
  const transport = await connect(stack);
  transport.destroy();
  stack.close();
});

test("those who wait for a backend go on waiting when the policy changes around it", async () => {
  const { stack, control, watch } = stackOf(policyOf(balanced));
  const waiting = connect(stack);
  watch.publish(policyOf(balanced, [], { meta: metaDefault("renamed") }));
  assert.equal(control.resolutions.length, 1);
  assert.equal(control.resolutions[0]?.signal.aborted, false);
  stack.close();
  await assert.rejects(waiting, code("pool_failed"));
  assert.equal(control.resolutions[0]?.signal.aborted, true);
});

test("a backend that the policy names no more is let go of", async () => {
  const { stack, control, watch } = stackOf(policyOf(balanced));
  watch.publish(
    policyOf({ meta: metaDefault("gone"), dispatcher: { kind: "fail", message: "no such Service" } }),
  );
  assert.equal(control.resolutions[0]?.signal.aborted, true);
  await assert.rejects(connect(stack), code("fail_dispatcher", /no such Service/));
});

test("an application that gives up leaves the queue to others", async () => {
  const { stack, clock } = stackOf(policyOf(balanced));
  const first = new AbortController();
  const attempts = [stack.connect(first.signal), connect(stack)];
  await assert.rejects(connect(stack), code("loadshed"));
  first.abort();
  await assert.rejects(attempts[0] ?? Promise.resolve(), code("canceled"));
  const third = connect(stack);
  clock.advance(3_000);
  await assert.rejects(attempts[1] ?? Promise.resolve(), code("failfast"));
  await assert.rejects(third, code("failfast"));
});
