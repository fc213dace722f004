import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { parseAddr, type Addr } from "../../src/addr/name-addr.ts";
import { ControlClient } from "../../src/control/control-client.ts";
import { GrpcControlPlane } from "../../src/control/grpc-control-plane.ts";
import { invalidServerPolicy } from "../../src/policy/invalid.ts";
import { NO_LIMITS, type ReceiveLimits } from "../../src/control/receive-limits.ts";
import type { StreamContext } from "../../src/control/stream-context.ts";
import type { EndpointUpdate } from "../../src/policy/endpoint.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { DestinationProfileSchema, UpdateSchema } from "../../src/proto/gen/destination_pb.js";
import { ServerSchema } from "../../src/proto/gen/inbound_pb.js";
import { OutboundPolicySchema } from "../../src/proto/gen/outbound_pb.js";
import { systemClock } from "../../src/time/clock.ts";
import type { Watch } from "../../src/watch/watch.ts";
import { fixture } from "./fixture.ts";
import { ListeningLog } from "./listening-log.ts";
import { ScriptedServer } from "./scripted-server.ts";

/** Short pauses, so that real sockets recover within a test. */
const BACKOFF = { minMs: 5, maxMs: 20, jitter: 0.1 };
const WORKLOAD = '{"ns":"shop", "pod":"web-0"}\n';
const CONTEXT = '{"ns":"shop", "nodeName":"node-1"}\n';

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
});

async function start(limits: ReceiveLimits = NO_LIMITS) {
  const server = await new ScriptedServer().start();
  const log = new ListeningLog();
  const client = new ControlClient({
    service: "test",
    address: addr(`127.0.0.1:${server.port}`),
    tls: undefined,
    connectTimeoutMs: 1000,
    backoff: BACKOFF,
    clock: systemClock,
    log,
  });
  const context: StreamContext = { client, limits, backoff: BACKOFF, clock: systemClock, log };
  const held = new AbortController();
  cleanups.push(() => {
    held.abort();
    client.close();
    server.kill();
  });
  const control = new GrpcControlPlane({
    destination: context,
    policy: context,
    contextToken: CONTEXT,
    workload: WORKLOAD,
    outboundDetectTimeoutMs: 10_000,
    inboundDetectTimeoutMs: 10_000,
  });
  return { server, control, held, log };
}

function addr(text: string): Addr {
  const result = parseAddr(text);
  assert.ok(result.ok);
  return result.value;
}

const service = addr("web.shop.svc.cluster.local:80");
function path(target: Addr) {
  assert.equal(target.kind, "name");
  return target.kind === "name" ? target.name : assert.fail();
}

/** Resolves with the next value of a watch. */
function next<T>(watch: Watch<T>): Promise<T> {
  const once = new AbortController();
  return new Promise((resolve) => {
    watch.subscribe(once.signal, (value) => {
      once.abort();
      resolve(value);
    });
  });
}

/** Collects what a resolution tells, and hands it out in order. */
function updates() {
  const queue: EndpointUpdate[] = [];
  const takers: ((update: EndpointUpdate) => void)[] = [];
  const failed = Promise.withResolvers<Error>();
  return {
    failed: failed.promise,
    next(): Promise<EndpointUpdate> {
      const update = queue.shift();
      return update === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(update);
    },
    listener: {
      update(update: EndpointUpdate): void {
        const taker = takers.shift();
        if (taker === undefined) queue.push(update);
        else taker(update);
      },
      failed: (error: Error): void => failed.resolve(error),
    },
  };
}

const profile = (opaqueProtocol: boolean) => create(DestinationProfileSchema, { opaqueProtocol });
const fail = (code: status) => Object.assign(new Error("scripted"), { code, details: "scripted" });

describe("a profile", () => {
  it("is asked for with path and context, byte for byte, and followed", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchProfile(addr("10.96.7.20:80"), held.signal);
    const call = await server.getProfile.next();
    assert.equal(call.request.path, "10.96.7.20:80");
    assert.equal(call.request.contextToken, CONTEXT);
    assert.equal(call.request.scheme, "");
    call.write(profile(false));
    const watch = await lookup;
    assert.equal(watch?.value.opaqueProtocol, false);
    call.write(profile(true));
    assert.equal((watch && (await next(watch)))?.opaqueProtocol, true);
  });

  for (const code of [status.INVALID_ARGUMENT, status.FAILED_PRECONDITION]) {
    it(`is none after ${status[code]}`, async () => {
      const { server, control, held } = await start();
      const lookup = control.watchProfile(service, held.signal);
      (await server.getProfile.next()).emit("error", fail(code));
      assert.equal(await lookup, undefined);
    });
  }

  const retried = Object.values(status).filter(
    (code): code is status =>
      typeof code === "number" &&
      code !== status.OK &&
      code !== status.INVALID_ARGUMENT &&
      code !== status.FAILED_PRECONDITION,
  );
  for (const code of retried) {
    it(`is asked for again after ${status[code]}`, async () => {
      const { server, control, held } = await start();
      const lookup = control.watchProfile(service, held.signal);
      (await server.getProfile.next()).emit("error", fail(code));
      (await server.getProfile.next()).write(profile(true));
      assert.equal((await lookup)?.value.opaqueProtocol, true);
    });
  }

  it("is of an unknown target after UNKNOWN and NOT_FOUND, and not after other failures", async () => {
    const { server, control, held } = await start();
    let told = 0;
    const lookup = control.watchProfile(service, held.signal, () => told++);
    const counts: number[] = [];
    for (const code of [status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN, status.NOT_FOUND]) {
      (await server.getProfile.next()).emit("error", fail(code));
      const again = await server.getProfile.next();
      counts.push(told);
      again.end();
    }
    (await server.getProfile.next()).write(profile(true));
    assert.equal((await lookup)?.value.opaqueProtocol, true);
    assert.deepEqual([...counts, told], [0, 0, 1, 2, 2]);
  });

  it("is asked for again after an orderly end", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchProfile(service, held.signal);
    (await server.getProfile.next()).end();
    (await server.getProfile.next()).write(profile(true));
    assert.equal((await lookup)?.value.opaqueProtocol, true);
  });

  it("keeps its value while the control plane is dead, and follows the one that comes back", async () => {
    const { server, control, held, log } = await start();
    const lookup = control.watchProfile(service, held.signal);
    (await server.getProfile.next()).write(profile(true));
    const watch = await lookup;
    assert.ok(watch);
    const unreachable = log.hears("control plane is unreachable");
    const stillUnreachable = log.hears("control plane is still unreachable");
    server.kill();
    await unreachable;
    await stillUnreachable;
    assert.equal(watch.value.opaqueProtocol, true);
    await server.start();
    (await server.getProfile.next()).write(profile(false));
    assert.equal((await next(watch)).opaqueProtocol, false);
  });

  it("ends its stream when nobody holds it any more", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchProfile(service, held.signal);
    const call = await server.getProfile.next();
    call.write(profile(true));
    await lookup;
    const cancelled = new Promise((resolve) => call.once("cancelled", resolve));
    held.abort();
    await cancelled;
  });

  it("is none when it is given up before the first word", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchProfile(service, held.signal);
    await server.getProfile.next();
    held.abort();
    assert.equal(await lookup, undefined);
  });
});

describe("an outbound policy", () => {
  it("is asked for by address and found", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchOutboundPolicy(addr("10.96.7.20:80"), held.signal);
    const call = await server.watch.next();
    assert.equal(call.request.sourceWorkload, WORKLOAD);
    assert.ok(call.request.target.case === "addr");
    assert.deepEqual(call.request.target.value.ip?.ip, { case: "ipv4", value: 0x0a600714 });
    assert.equal(call.request.target.value.port, 80);
    call.write(fixture(OutboundPolicySchema, "service-policy"));
    const found = await lookup;
    assert.ok(found.kind === "found");
    assert.equal(found.watch.value.protocol.kind, "detect");
  });

  it("is asked for by name without its trailing dot", async () => {
    const { server, control, held } = await start();
    void control.watchOutboundPolicy(addr("web.shop.svc.cluster.local.:80"), held.signal);
    const { request } = await server.watch.next();
    assert.deepEqual(request.target, { case: "authority", value: "web.shop.svc.cluster.local:80" });
  });

  for (const code of [status.NOT_FOUND, status.UNIMPLEMENTED]) {
    it(`is not there after ${status[code]}`, async () => {
      const { server, control, held } = await start();
      const lookup = control.watchOutboundPolicy(service, held.signal);
      (await server.watch.next()).emit("error", fail(code));
      assert.deepEqual(await lookup, { kind: "not_found" });
    });
  }

  for (const code of [status.INVALID_ARGUMENT, status.FAILED_PRECONDITION]) {
    it(`fails its lookup after ${status[code]}, naming the target`, async () => {
      const { server, control, held } = await start();
      const lookup = control.watchOutboundPolicy(service, held.signal);
      (await server.watch.next()).emit("error", fail(code));
      const failed = await lookup;
      assert.ok(failed.kind === "failed");
      assert.equal(failed.error.code, "invalid_policy");
      assert.match(failed.error.message, /web\.shop\.svc\.cluster\.local:80: scripted/);
    });
  }

  it("waits through an unavailable control plane", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchOutboundPolicy(service, held.signal);
    (await server.watch.next()).emit("error", fail(status.UNAVAILABLE));
    (await server.watch.next()).write(fixture(OutboundPolicySchema, "external-policy"));
    assert.equal((await lookup).kind, "found");
  });

  it("fails every request after a message that cannot be understood, until a better one comes", async () => {
    const { server, control, held } = await start();
    const lookup = control.watchOutboundPolicy(service, held.signal);
    const call = await server.watch.next();
    call.write(create(OutboundPolicySchema));
    const found = await lookup;
    assert.ok(found.kind === "found");
    assert.deepEqual(found.watch.value.parent, { kind: "default", name: "invalid" });
    call.write(fixture(OutboundPolicySchema, "service-policy"));
    assert.equal((await next(found.watch)).parent.name, "web");
  });

  it("keeps its last value when the control plane later says that there is none", async () => {
    const { server, control, held, log } = await start();
    const lookup = control.watchOutboundPolicy(service, held.signal);
    const call = await server.watch.next();
    call.write(fixture(OutboundPolicySchema, "service-policy"));
    const found = await lookup;
    assert.ok(found.kind === "found");
    const stopped = log.hears("outbound policy is no longer updated");
    call.emit("error", fail(status.NOT_FOUND));
    await stopped;
    assert.equal(found.watch.value.parent.name, "web");
  });
});

describe("an inbound policy", () => {
  const initial: ServerPolicy = invalidServerPolicy(1);

  it("is the initial one at once, and then what the control plane says", async () => {
    const { server, control, held } = await start();
    const watch = control.watchServerPolicy(8080, initial, held.signal);
    assert.equal(watch.value, initial);
    const call = await server.watchPort.next();
    assert.equal(call.request.port, 8080);
    assert.equal(call.request.workload, WORKLOAD);
    call.write(fixture(ServerSchema, "rate-limited-server"));
    assert.equal((await next(watch)).meta.name, "web-http");
  });

  it("lets nobody in after a message that cannot be understood, until a better one comes", async () => {
    const { server, control, held } = await start();
    const watch = control.watchServerPolicy(8080, initial, held.signal);
    const call = await server.watchPort.next();
    call.write(create(ServerSchema));
    const refused = await next(watch);
    assert.deepEqual(refused.authorizations, []);
    assert.equal(refused.meta.name, "invalid");
    call.write(fixture(ServerSchema, "all-unauthenticated-server"));
    assert.equal((await next(watch)).meta.name, "all-unauthenticated");
  });

  it("stays as it is after INVALID_ARGUMENT", async () => {
    const { server, control, held, log } = await start();
    const watch = control.watchServerPolicy(8080, initial, held.signal);
    const stopped = log.hears("inbound policy is no longer updated");
    (await server.watchPort.next()).emit("error", fail(status.INVALID_ARGUMENT));
    await stopped;
    assert.equal(watch.value, initial);
  });

  it("is asked for again after NOT_FOUND", async () => {
    const { server, control, held } = await start();
    const watch = control.watchServerPolicy(8080, initial, held.signal);
    (await server.watchPort.next()).emit("error", fail(status.NOT_FOUND));
    (await server.watchPort.next()).write(fixture(ServerSchema, "all-unauthenticated-server"));
    assert.equal((await next(watch)).meta.name, "all-unauthenticated");
  });
});

describe("endpoints", () => {
  it("are added and removed one by one after the first set", async () => {
    const { server, control, held } = await start();
    const seen = updates();
    control.resolveEndpoints(path(service), held.signal, seen.listener);
    const call = await server.get.next();
    assert.equal(call.request.path, "web.shop.svc.cluster.local:80");
    call.write(fixture(UpdateSchema, "service-add"));
    const first = await seen.next();
    assert.ok(first.kind === "reset");
    assert.deepEqual(
      first.endpoints.map((e) => e.addr.ip.text),
      ["10.42.1.15", "10.42.2.23"],
    );
    call.write(fixture(UpdateSchema, "service-remove"));
    const second = await seen.next();
    assert.ok(second.kind === "remove");
    assert.equal(second.addrs[0]?.ip.text, "10.42.2.23");
  });

  it("are replaced as a whole by the first set after an outage", async () => {
    const { server, control, held } = await start();
    const seen = updates();
    control.resolveEndpoints(path(service), held.signal, seen.listener);
    (await server.get.next()).write(fixture(UpdateSchema, "service-add"));
    assert.equal((await seen.next()).kind, "reset");
    server.kill();
    await server.start();
    const call = await server.get.next();
    call.write(fixture(UpdateSchema, "service-remove"));
    call.write(fixture(UpdateSchema, "gateway-add"));
    const replaced = await seen.next();
    assert.ok(replaced.kind === "reset");
    assert.equal(replaced.endpoints.length, 1);
  });

  it("fail for good after INVALID_ARGUMENT", async () => {
    const { server, control, held } = await start();
    const seen = updates();
    control.resolveEndpoints(path(service), held.signal, seen.listener);
    (await server.get.next()).emit("error", fail(status.INVALID_ARGUMENT));
    assert.match((await seen.failed).message, /web\.shop\.svc\.cluster\.local:80: scripted/);
  });
});

describe("receive limits", () => {
  it("give up on a stream whose first message does not come", async () => {
    const { server, control, held } = await start({
      initialMs: 50,
      idleMs: undefined,
      lifetimeMs: undefined,
    });
    const lookup = control.watchProfile(service, held.signal);
    const silent = await server.getProfile.next();
    const cancelled = new Promise((resolve) => silent.once("cancelled", resolve));
    (await server.getProfile.next()).write(profile(true));
    await cancelled;
    assert.equal((await lookup)?.value.opaqueProtocol, true);
  });
});
