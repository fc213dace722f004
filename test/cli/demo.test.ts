import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { RequestName, RequestTarget } from "../../src/cli/demo/contract.ts";
import type { MeshPorts } from "../../src/cli/demo/mesh.ts";
import { send } from "../../src/cli/demo/requests.ts";
import { sleep, systemClock } from "../../src/time/clock.ts";
import { readSummary, startDemo, type Demo } from "./demo-process.ts";
import { accepts } from "../support/accepts.ts";

const CLIENT_ID = "client.demo.serviceaccount.identity.linkerd.cluster.local";

test("the demo carries every kind of traffic, encrypted and with the client's identity", async (t) => {
  const demo = startDemo(["--once", "--json"]);
  t.after(() => demo.stop());
  assert.deepEqual(await demo.exited, { code: 0, signal: null }, demo.errors());

  const { ok, requests } = readSummary(demo.output());
  assert.equal(ok, true);
  assert.deepEqual(
    requests.map(({ protocol, detected, status, ok }) => [protocol, detected, status, ok]),
    [
      ["http/1", "http/1", 200, true],
      ["http/2", "http/2", 200, true],
      ["grpc-unary", "http/2", 0, true],
      ["grpc-stream", "http/2", 0, true],
      ["websocket", "http/1", 101, true],
      ["tcp", "opaque", "echoed", true],
      ["http/1-proxied", "http/1", 200, true],
    ],
  );
  for (const { protocol, clientId, tls, latencyMs } of requests) {
    assert.equal(clientId, CLIENT_ID, protocol);
    assert.deepEqual(tls, { version: "TLSv1.3", group: "X25519MLKEM768" }, protocol);
    assert.ok(latencyMs > 0, protocol);
  }
});

test("the demo refuses options it does not know, and names them", async (t) => {
  const demo = startDemo(["--twice"]);
  t.after(() => demo.stop());
  assert.deepEqual(await demo.exited, { code: 64, signal: null });
  assert.match(demo.errors(), /--twice/);
  assert.match(demo.errors(), /demo --help/);
});

describe("the demo that stays up", () => {
  /** The requirement: a policy that was saved is in force within a second. */
  const IN_FORCE_WITHIN_MS = 1_000;

  let demo: Demo;
  let manifests: string;
  let ports: MeshPorts;
  before(async () => {
    ({ demo, manifests, ports } = await start());
  });
  after(() => demo.stop());

  test("refuses a client within a second of its policy's change, and heals when it is changed back", async () => {
    const { targets } = ports;
    const file = join(manifests, "authorization-policy.yaml");
    const policy = await readFile(file, "utf8");
    const refusing = policy.replace(/name: client$/m, "name: nobody");
    assert.notEqual(refusing, policy);

    const kinds = [
      { protocol: "http/1", allowed: 200, refused: 403 },
      { protocol: "grpc-unary", allowed: 0, refused: 7 },
      { protocol: "tcp", allowed: "echoed", refused: "refused" },
    ] as const;
    for (const { protocol, allowed } of kinds) {
      assert.equal((await send(protocol, targets[protocol])).status, allowed, protocol);
    }
    for (const { text, wanted } of [
      { text: refusing, wanted: "refused" },
      { text: policy, wanted: "allowed" },
    ] as const) {
      const savedAtMs = systemClock.nowMs();
      await writeFile(file, text);
      const reached = kinds.map(async (kind) => {
        await untilStatus(kind.protocol, targets[kind.protocol], kind[wanted], IN_FORCE_WITHIN_MS);
        return systemClock.nowMs() - savedAtMs;
      });
      for (const elapsedMs of await Promise.all(reached)) assert.ok(elapsedMs < IN_FORCE_WITHIN_MS);
    }
  });

  test("goes on with the last good policy while a manifest is broken, and says what is wrong with it", async () => {
    await writeFile(join(manifests, "authorization-policy.yaml"), "kind: AuthorizationPolicy\nspec: 3\n");
    await until(() => demo.errors().includes("authorization-policy.yaml"));
    assert.equal((await send("http/1", ports.targets["http/1"])).status, 200);
  });

  test("ends at a signal with all of its processes, and leaves no files", async () => {
    assert.equal(existsSync(manifests), true);
    const listeners = [ports.proxy, ports.clientAdmin, ports.serverAdmin, ...Object.values(ports.server)];
    for (const port of listeners) assert.equal(await accepts(port), true, `port ${port}`);

    demo.signal("SIGINT");
    assert.deepEqual(await demo.exited, { code: 0, signal: null }, demo.errors());
    for (const port of listeners) assert.equal(await accepts(port), false, `port ${port}`);
    assert.equal(existsSync(join(manifests, "..")), false);
  });

  test("leaves no process behind even when it is killed", async (t) => {
    const { demo, manifests, ports } = await start();
    t.after(() => demo.stop());
    // Nobody is left to remove it.
    t.after(() => rm(join(manifests, ".."), { recursive: true }));
    demo.signal("SIGKILL");
    assert.deepEqual(await demo.exited, { code: null, signal: "SIGKILL" });
    for (const port of [ports.proxy, ports.clientAdmin, ports.serverAdmin, ports.server.http]) {
      while (await accepts(port)) await sleep(systemClock, 10);
    }
  });
});

/** A demo that stays up and says where it is. */
async function start() {
  const demo = startDemo(["--json"]);
  const { manifests, ports } = readSummary(await demo.line());
  assert.ok(manifests !== undefined && ports !== undefined);
  return { demo, manifests, ports };
}

/** Sends until the answer is the wanted one. Fails once `withinMs` are over. */
async function untilStatus(
  protocol: RequestName,
  target: RequestTarget,
  wanted: number | string,
  withinMs: number,
): Promise<void> {
  const giveUpAtMs = systemClock.nowMs() + withinMs;
  for (;;) {
    const { status, error } = await send(protocol, target);
    if (status === wanted) return;
    const last = `${status} ${error ?? ""}`;
    assert.ok(systemClock.nowMs() < giveUpAtMs, `${protocol}: still ${last} after ${withinMs} ms`);
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(systemClock, 10);
}
