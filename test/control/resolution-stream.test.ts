import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { runResolutionStream } from "../../src/control/resolution-stream.ts";
import { Code, isInvalidRequest, type CallStatus } from "../../src/control/stream.ts";
import { NO_METADATA, type EndpointUpdate } from "../../src/policy/endpoint.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ScriptedStreams } from "./scripted-stream.ts";

const BACKOFF = { minMs: 100, maxMs: 1000, jitter: 0 };
const ended: CallStatus = { code: Code.OK, message: "" };
const unavailable: CallStatus = { code: Code.UNAVAILABLE, message: "gone" };

function addr(text: string) {
  const result = parseSocketAddr(text);
  return result.ok ? result.value : assert.fail(result.problem);
}
const endpoint = { addr: addr("192.0.2.1:80"), metadata: NO_METADATA };
const add: EndpointUpdate = { kind: "add", endpoints: [endpoint] };
const remove: EndpointUpdate = { kind: "remove", addrs: [endpoint.addr] };
const empty: EndpointUpdate = { kind: "reset", endpoints: [] };
const replaced: EndpointUpdate = { kind: "reset", endpoints: [endpoint] };

function run() {
  const clock = new FakeClock();
  const streams = new ScriptedStreams<EndpointUpdate>();
  const seen: EndpointUpdate[] = [];
  const fatal: CallStatus[] = [];
  const held = new AbortController();
  runResolutionStream({
    open: streams.open,
    isFatal: isInvalidRequest,
    clock,
    backoff: BACKOFF,
    random: () => 0,
    signal: held.signal,
    onMessage: (update) => seen.push(update),
    onFatal: (status) => fatal.push(status),
  });
  return { clock, streams, seen, fatal, held };
}

describe("a resolution stream", () => {
  it("makes a replacement of the first addition, and changes of the rest", () => {
    const { streams, seen } = run();
    for (const update of [add, add, remove]) streams.last(1).message(update);
    assert.deepEqual(seen, [replaced, add, remove]);
  });

  it("ignores removals before the first set", () => {
    const { streams, seen } = run();
    for (const update of [remove, add]) streams.last(1).message(update);
    assert.deepEqual(seen, [replaced]);
  });

  it("takes an empty set for a first set", () => {
    const { streams, seen } = run();
    for (const update of [empty, add, remove]) streams.last(1).message(update);
    assert.deepEqual(seen, [empty, add, remove]);
  });

  it("drops changes without any endpoint, which are not a first set either", () => {
    const { streams, seen } = run();
    streams.last(1).message({ kind: "add", endpoints: [] });
    streams.last(1).message(add);
    streams.last(1).message({ kind: "remove", addrs: [] });
    assert.deepEqual(seen, [replaced]);
  });

  it("says nothing while it is disconnected, and replaces the set afterwards", () => {
    const { clock, streams, seen } = run();
    streams.last(1).message(add);
    streams.last(1).end(unavailable);
    clock.advance(100);
    streams.last(2).end(unavailable);
    clock.advance(200);
    assert.deepEqual(seen, [replaced]);
    streams.last(3).message(add);
    assert.deepEqual(seen, [replaced, replaced]);
  });

  it("pauses before it connects again even after an orderly end", () => {
    const { clock, streams } = run();
    streams.last(1).message(add);
    clock.advance(5000);
    streams.last(1).end(ended);
    clock.advance(99);
    streams.last(1);
    clock.advance(1);
    streams.last(2);
  });

  it("waits longer after each failure, and afresh after a connection", () => {
    const { clock, streams } = run();
    for (const [i, pauseMs] of [100, 200, 400].entries()) {
      streams.last(i + 1).end(unavailable);
      clock.advance(pauseMs - 1);
      streams.last(i + 1);
      clock.advance(1);
    }
    streams.last(4).message(add);
    streams.last(4).end(unavailable);
    clock.advance(100);
    streams.last(5);
  });

  it("fails for good at a final status", () => {
    const { clock, streams, fatal } = run();
    streams.last(1).message(add);
    streams.last(1).end({ code: Code.FAILED_PRECONDITION, message: "no" });
    assert.equal(fatal.length, 1);
    assert.equal(clock.timers, 0);
  });

  it("cancels its stream when nobody holds it", () => {
    const { clock, streams, seen, held } = run();
    held.abort();
    assert.ok(streams.last(1).cancelled);
    streams.last(1).message(add);
    streams.last(1).end(unavailable);
    assert.deepEqual(seen, []);
    assert.equal(clock.timers, 0);
  });
});
