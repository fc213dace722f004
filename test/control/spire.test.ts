import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { watchSvids, type WatchSvidsOptions } from "../../src/control/spire.ts";
import { Code } from "../../src/control/stream.ts";
import { openWorkloadApi } from "../../src/control/workload-api.ts";
import { parseId } from "../../src/identity/id.ts";
import type { Svid } from "../../src/identity/svid.ts";
import { NO_LOG } from "../../src/log/log.ts";
import { parsed, unparsed } from "../../src/parsed.ts";
import { X509SVIDResponseSchema, type X509SVIDResponse } from "../../src/proto/gen/spiffe_workload_pb.js";
import { systemClock } from "../../src/time/clock.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { svidOf, WorkloadApi, type SvidAnswer } from "../support/workload-api.ts";
import { ListeningLog } from "./listening-log.ts";
import { ScriptedStreams } from "./scripted-stream.ts";

const CA = TestCa.create();
const OURS = "spiffe://root.linkerd.cluster.local/web";
const THEIRS = "spiffe://root.linkerd.cluster.local/db";
const LEAF = CA.issue({ id: OURS });
const NEXT = CA.issue({ id: OURS });
const id = parseId(OURS);
assert.ok(id.ok);
const ID = id.value;

const answer = (...svids: NonNullable<SvidAnswer["svids"]>): X509SVIDResponse =>
  create(X509SVIDResponseSchema, { svids });
const ours = (leaf: TestLeaf) => svidOf(OURS, leaf);
const theirs = () => svidOf(THEIRS, CA.issue({ id: THEIRS }));

/** SVIDs that were put in force, and a wait for the next one. */
class Installed {
  readonly all: Svid[] = [];
  #wake: () => void = () => {};

  readonly install = (svid: Svid) => {
    this.all.push(svid);
    this.#wake();
    return parsed(undefined);
  };

  get leaves(): readonly Buffer[] {
    return this.all.map((svid) => svid.leafDer);
  }

  async count(count: number): Promise<void> {
    while (this.all.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

let ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function optionsFor(changes: Partial<WatchSvidsOptions> = {}) {
  const end = new AbortController();
  ends.push(() => end.abort());
  const installed = new Installed();
  const log = new ListeningLog();
  const options: WatchSvidsOptions = {
    id: ID,
    install: installed.install,
    backoff: { minMs: 100, maxMs: 1000, jitter: 0 },
    clock: systemClock,
    log,
    signal: end.signal,
    ...changes,
  };
  return { options, installed, log, end };
}

describe("watching for SVIDs", () => {
  function run(changes: Partial<WatchSvidsOptions> = {}) {
    const clock = new FakeClock();
    const streams = new ScriptedStreams<X509SVIDResponse>();
    const context = optionsFor({ clock, ...changes });
    watchSvids(streams.open, context.options);
    return { ...context, clock, streams };
  }

  it("puts each SVID of ours in force, whatever else the agent offers", () => {
    const { streams, installed } = run();
    const stream = streams.last(1);
    stream.message(answer(theirs(), ours(LEAF)));
    stream.message(answer(ours(NEXT), theirs()));
    assert.deepEqual(installed.leaves, [LEAF.leafDer, NEXT.leafDer]);
    assert.ok(installed.all[0]?.key.equals(LEAF.key));
  });

  it("keeps what is in force when nothing of an answer is ours, and goes on listening", async () => {
    const { streams, installed, log } = run();
    const stream = streams.last(1);
    stream.message(answer(ours(LEAF)));
    for (const useless of [
      answer(),
      answer(theirs()),
      answer({ ...ours(NEXT), x509SvidKey: Buffer.alloc(0) }),
    ]) {
      const told = log.hears("no new certificate");
      stream.message(useless);
      assert.match(
        String((await told)["error"]),
        /^no matching SVID: expected spiffe:.*\/web, the agent offers /,
      );
    }
    stream.message(answer(ours(NEXT)));
    assert.deepEqual(installed.leaves, [LEAF.leafDer, NEXT.leafDer]);
  });

  it("says what is wrong with entries and with SVIDs that do not verify", async () => {
    const { streams, log } = run({ install: () => unparsed("does not chain") });
    const [dropped, refused] = [log.hears("SVID dropped"), log.hears("no new certificate")];
    streams.last(1).message(answer({ ...theirs(), spiffeId: "db" }, ours(LEAF)));
    assert.deepEqual(await dropped, { problem: '"db": the id is not a URI' });
    assert.deepEqual(await refused, { identity: OURS, error: "does not chain" });
  });

  it("leaves no bytes of any key in the message", () => {
    const { streams } = run();
    const message = answer(theirs(), ours(LEAF));
    streams.last(1).message(message);
    for (const { x509SvidKey } of message.svids) assert.ok(x509SvidKey.every((byte) => byte === 0));
  });

  it("asks an absent agent again after 100ms, then longer, up to a second, and mentions it every 15s", () => {
    const remindedAtMs: number[] = [];
    const { streams, clock } = run({ log: { ...NO_LOG, warn: () => remindedAtMs.push(clock.nowMs()) } });
    const pauses: number[] = [];
    while (clock.nowMs() < 31_000) {
      const failedAtMs = clock.nowMs();
      streams.last(pauses.length + 1).end({ code: Code.UNAVAILABLE, message: "connect ENOENT" });
      while (streams.opened.length === pauses.length + 1) clock.advance(100);
      pauses.push(clock.nowMs() - failedAtMs);
    }
    assert.deepEqual(pauses.slice(0, 6), [100, 200, 400, 800, 1000, 1000]);
    assert.deepEqual(remindedAtMs, [0, 15_500, 30_500]);
  });

  it("opens a stream that breaks again, with the SVID in force", async () => {
    const { streams, clock, installed, log } = run();
    streams.last(1).message(answer(ours(LEAF)));
    clock.advance(60_000);
    streams.last(1).end({ code: Code.UNAVAILABLE, message: "connection dropped" });
    clock.advance(0);
    const back = log.hears("SPIRE agent is reachable again");
    streams.last(2).message(answer(ours(NEXT)));
    await back;
    assert.equal(installed.all.length, 2);
  });

  it("stops for InvalidArgument alone, and keeps what is in force", async () => {
    for (const code of [
      Code.CANCELLED,
      7,
      Code.FAILED_PRECONDITION,
      Code.INTERNAL,
      Code.UNAVAILABLE,
      Code.OK,
    ]) {
      const { streams, clock } = run();
      streams.last(1).end({ code, message: "" });
      clock.advance(100);
      assert.equal(streams.opened.length, 2, `code ${code}`);
    }
    const { streams, clock, installed, log } = run();
    streams.last(1).message(answer(ours(LEAF)));
    const told = log.hears("is not asked again");
    streams.last(1).end({ code: Code.INVALID_ARGUMENT, message: "no" });
    assert.deepEqual(await told, { code: 3, error: "no" });
    clock.advance(3_600_000);
    assert.deepEqual([streams.opened.length, clock.timers, installed.all.length], [1, 0, 1]);
  });

  it("ends when it is told to, leaving no stream and no timer", () => {
    const { streams, clock, end } = run();
    streams.last(1).end({ code: Code.UNAVAILABLE, message: "" });
    clock.advance(100);
    end.abort();
    assert.equal(streams.last(2).cancelled, true);
    assert.equal(clock.timers, 0);
  });
});

describe("a SPIRE agent", () => {
  let agent: WorkloadApi;
  before(async () => {
    agent = await WorkloadApi.absent();
  });
  after(() => agent.close());
  afterEach(() => agent.kill());

  function watch(changes: Partial<WatchSvidsOptions> = {}) {
    const context = optionsFor({ backoff: { minMs: 5, maxMs: 20, jitter: 0.1 }, ...changes });
    watchSvids(openWorkloadApi(agent.socketPath), context.options);
    return context;
  }

  it("is asked over its Unix socket with the header that it demands, and pushes what is new", async () => {
    agent.publish({ svids: [ours(LEAF)] });
    await agent.listen();
    const { installed } = watch();
    await installed.count(1);
    agent.publish({ svids: [ours(NEXT)] });
    await installed.count(2);
    assert.deepEqual(installed.leaves, [LEAF.leafDer, NEXT.leafDer]);
    assert.ok(installed.all[1]?.key.equals(NEXT.key));
    assert.equal(agent.calls, 1);
  });

  it("may come up long after its workload", async () => {
    agent.publish({ svids: [ours(LEAF)] });
    const { installed, log } = watch();
    const fields = await log.hears("SPIRE agent gives no SVID");
    assert.equal(fields["code"], status.UNAVAILABLE);
    assert.match(String(fields["error"]), /ENOENT/);
    await agent.listen();
    await installed.count(1);
  });

  it("may die and come back, with its socket left behind meanwhile", async () => {
    agent.publish({ svids: [ours(LEAF)] });
    await agent.listen();
    const { installed, log } = watch();
    await installed.count(1);
    const lost = log.hears("SPIRE agent gives no SVID");
    agent.kill();
    await lost;
    agent.publish({ svids: [ours(NEXT)] });
    await agent.listen();
    await installed.count(2);
    assert.deepEqual(installed.leaves, [LEAF.leafDer, NEXT.leafDer]);
  });

  it("may not know the workload yet", async () => {
    agent.refuse({ code: status.PERMISSION_DENIED, details: "no identity issued" });
    await agent.listen();
    const { installed, log } = watch();
    const { code, error } = await log.hears("SPIRE agent gives no SVID");
    assert.deepEqual([code, error], [status.PERMISSION_DENIED, "no identity issued"]);
    agent.publish({ svids: [ours(LEAF)] });
    await installed.count(1);
  });

  it("ends the watch with InvalidArgument", async () => {
    agent.publish({ svids: [ours(LEAF)] });
    await agent.listen();
    const { installed, log } = watch();
    await installed.count(1);
    const { calls } = agent;
    const over = log.hears("is not asked again");
    agent.refuse({ code: status.INVALID_ARGUMENT, details: "no" });
    await over;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(agent.calls, calls);
  });

  it("loses its stream when the proxy ends", async () => {
    agent.publish({ svids: [ours(LEAF)] });
    await agent.listen();
    const { installed, end } = watch();
    await installed.count(1);
    end.abort();
    while (agent.streams > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});
