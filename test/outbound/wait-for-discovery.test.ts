import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { TargetStack } from "../../src/outbound/target-stack.ts";
import { waitForDiscovery } from "../../src/outbound/wait-for-discovery.ts";
import { synthesizeBalance } from "../../src/policy/synthesize.ts";
import { transportOf, type SocketTransport } from "../../src/transport/socket-transport.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { name, ScriptedControlPlane, scriptedContext, target } from "./scripted.ts";

interface Scene {
  readonly client: Socket;
  readonly transport: SocketTransport;
  readonly clock: FakeClock;
  readonly stack: TargetStack;
  readonly answer: () => void;
}

async function scene(t: TestContext): Promise<Scene> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect(address.port, "127.0.0.1");
  client.on("error", () => {});
  const [socket] = await accepted;
  const transport = transportOf(socket);
  t.after(() => {
    client.destroy();
    transport.destroy();
    server.close();
  });
  const clock = new FakeClock();
  const control = new ScriptedControlPlane();
  const stack = new TargetStack(target("web.shop.svc.cluster.local:80"), scriptedContext(clock, control));
  const policy = synthesizeBalance("profile", name("web.shop.svc.cluster.local:80"), 10_000);
  const answer = (): void => control.lookups[0]?.answer({ kind: "found", watch: new WatchCell(policy) });
  return { client, transport, clock, stack, answer };
}

const isCanceled = (error: unknown): true => {
  assert.ok(error instanceof ProxyError);
  assert.ok(error.code === "canceled" || error.code === "io", error.code);
  return true;
};

test("what the application sent meanwhile is kept for whoever serves it", async (t) => {
  const { client, transport, clock, stack, answer } = await scene(t);
  const waiting = waitForDiscovery(stack, transport, clock);
  client.write("GET /");
  while (transport.bytesRead < 5) await new Promise(setImmediate);
  answer();
  assert.equal((await waiting).prefix.toString(), "GET /");
});

test("an application that breaks off while the control plane is silent is noticed", async (t) => {
  const { client, transport, clock, stack } = await scene(t);
  const waiting = waitForDiscovery(stack, transport, clock);
  client.write("GET /");
  client.resetAndDestroy();
  await assert.rejects(waiting, isCanceled);
});

test("one that has finished writing is waited for a while, because it may still read", async (t) => {
  const { client, transport, clock, stack, answer } = await scene(t);
  const waiting = waitForDiscovery(stack, transport, clock);
  client.end("ping");
  while (!transport.socket.readableEnded) await new Promise(setImmediate);
  clock.advance(9_999);
  answer();
  assert.equal((await waiting).prefix.toString(), "ping");
});

test("one that has finished writing is given up in the end", async (t) => {
  const { client, transport, clock, stack } = await scene(t);
  const waiting = waitForDiscovery(stack, transport, clock);
  client.end();
  while (!transport.socket.readableEnded) await new Promise(setImmediate);
  await new Promise(setImmediate);
  clock.advance(10_000);
  await assert.rejects(waiting, isCanceled);
});

test("nothing is read where the target is known already", async (t) => {
  const { client, transport, clock, stack, answer } = await scene(t);
  answer();
  await stack.discovered;
  client.write("early");
  const { prefix } = await waitForDiscovery(stack, transport, clock);
  assert.equal(prefix.length, 0);
  assert.equal(transport.bytesRead, 0);
});
