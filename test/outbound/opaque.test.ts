import assert from "node:assert/strict";
import { test } from "node:test";
import { createServer } from "node:net";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import type { Families } from "../../src/metrics/families.ts";
import { tcpRouteLabels, withLast } from "../../src/metrics/labels.ts";
import { OpaqueStack } from "../../src/outbound/opaque.ts";
import type {
  Backend,
  ClientPolicy,
  OpaqueClientRoute,
  OpaqueFilter,
} from "../../src/policy/client-policy.ts";
import { NO_METADATA } from "../../src/policy/endpoint.ts";
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
  filters: readonly OpaqueFilter[] = [],
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
  families: Families;
} {
  const clock = new FakeClock();
  const control = new ScriptedControlPlane();
  const watch = new WatchCell(policy);
  const context = scriptedContext(clock, control);
  const logical = { kind: "name", name: name("db.shop.svc.cluster.local:5432") } as const;
  const stack = new OpaqueStack(logical, watch, { ...context, queueCapacity: 2, failfastTimeoutMs: 3_000 });
  return { clock, control, watch, stack, families: context.families };
}

const code = (expected: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ProxyError);
  assert.equal(error.code, expected);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};
const connect = (stack: OpaqueStack, signal = new AbortController().signal) =>
  stack.route().route.connect(signal);

test("a filter of the backend refuses the connection, and says why", async () => {
  const filter: OpaqueFilter = { kind: "internal_error", message: "forbidden by the route's backend" };
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
  const attempts = [connect(stack, first.signal), connect(stack)];
  await assert.rejects(connect(stack), code("loadshed"));
  first.abort();
  await assert.rejects(attempts[0] ?? Promise.resolve(), code("canceled"));
  const third = connect(stack);
  clock.advance(3_000);
  await assert.rejects(attempts[1] ?? Promise.resolve(), code("failfast"));
  await assert.rejects(third, code("failfast"));
});

test("outbound 2.4: only the first filter counts, and each kind is told apart", async () => {
  const refusals: [OpaqueFilter, string][] = [
    [{ kind: "forbidden" }, "unauthorized"],
    [{ kind: "invalid", message: "no such backend" }, "invalid_backend"],
    [{ kind: "internal_error", message: "nonsense" }, "invalid_policy"],
  ];
  for (const [filter, expected] of refusals) {
    const { stack } = stackOf(policyOf(balanced, [], { filters: [filter, { kind: "forbidden" }] }));
    await assert.rejects(
      connect(stack),
      code(expected, /^logical service db.shop.svc.cluster.local:5432: route default.route: /),
    );
    const other = stackOf(policyOf(balanced, [filter, { kind: "forbidden" }]));
    await assert.rejects(connect(other.stack), code(expected));
  }
});

test("outbound 2.4: without a route nothing is connected", () => {
  const { stack } = stackOf({
    parent: metaDefault("parent"),
    protocol: { kind: "opaque", opaque: undefined },
  });
  assert.throws(() => stack.route(), code("route_not_found", /no route/));
});

test("outbound 1.4: a policy that is no longer about bytes leaves the route as it was", () => {
  const { stack, watch } = stackOf(policyOf(balanced));
  const before = stack.route();
  watch.publish({ parent: metaDefault("parent"), protocol: { kind: "tls", routes: [] } });
  assert.equal(stack.route(), before);
  watch.publish(policyOf(balanced));
  assert.notEqual(stack.route(), before);
});

test("outbound 4.6, 16.22: a backend without weight is never chosen beside another, and is if it is alone", async () => {
  const fail = (message: string): Backend => ({
    meta: metaDefault(message),
    dispatcher: { kind: "fail", message },
  });
  const split = (...arms: { backend: Backend; filters: []; weight: number }[]) =>
    stackOf(policyOf(balanced, [], { distribution: { kind: "random_available", backends: arms } }));
  const none = { backend: fail("none"), filters: [] as [], weight: 0 };
  const all = { backend: fail("all"), filters: [] as [], weight: 1 };
  const { stack } = split(none, all);
  for (let i = 0; i < 20; i++) await assert.rejects(connect(stack), code("fail_dispatcher", /all$/));
  await assert.rejects(connect(split(none).stack), code("fail_dispatcher", /none$/));
});

test("the five ways in which connections of a route end have series from the start", () => {
  const { stack, families } = stackOf(policyOf(balanced));
  const { metrics } = stack.route();
  const labels = tcpRouteLabels(metaDefault("parent"), metaDefault("route"), "", 5432);
  const closed = (error: string): number =>
    families.outboundTcpRouteCloseTotal.cell(withLast(labels, "error", error)).value;
  metrics.opened();
  metrics.closed(new ProxyError("unauthorized", ""));
  metrics.closed(new ProxyError("invalid_backend", ""));
  metrics.closed(new ProxyError("failfast", ""));
  metrics.closed(undefined);
  stack.close();
  metrics.closed(undefined);
  assert.equal(families.outboundTcpRouteOpenTotal.cell(labels).value, 1);
  const kinds = ["", "forbidden", "invalid_backend", "invalid_policy", "unexpected"];
  assert.deepEqual(kinds.map(closed), [2, 1, 1, 0, 1]);
});

test("who only looks for a server takes no place in the queue and starts no failfast", async () => {
  const { stack, clock, control } = stackOf(policyOf(balanced));
  const { route } = stack.route();
  const candidate = route.candidate();
  assert.ok(candidate !== undefined);
  const looking = [1, 2, 3].map(() => candidate.whenReady(new AbortController().signal));
  const gaveUp = new AbortController();
  const givingUp = candidate.whenReady(gaveUp.signal);
  gaveUp.abort();
  await assert.rejects(givingUp, code("canceled"));
  clock.advance(10_000);
  assert.equal(clock.timers, 0);
  assert.ok(candidate.available);
  const endpoint = { addr: addr("127.0.0.1:9"), metadata: NO_METADATA };
  control.resolutions[0]?.listener.update({ kind: "reset", endpoints: [endpoint] });
  await Promise.all(looking);
  stack.close();
});

test("a route that forbids has no candidate", () => {
  const forbidding = stackOf(policyOf(balanced, [], { filters: [{ kind: "forbidden" }] }));
  assert.equal(forbidding.stack.route().route.candidate(), undefined);
  const arm = stackOf(policyOf(balanced, [{ kind: "forbidden" }]));
  assert.equal(arm.stack.route().route.candidate(), undefined);
});
