import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_LIMITS, withReceiveLimits, type ReceiveLimits } from "../../src/control/receive-limits.ts";
import { Code, type CallStatus } from "../../src/control/stream.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ScriptedStreams } from "./scripted-stream.ts";

const CHART: ReceiveLimits = { initialMs: 3_000, idleMs: 300_000, lifetimeMs: 3_600_000 };

function open(limits: ReceiveLimits) {
  const clock = new FakeClock();
  const streams = new ScriptedStreams<string>();
  const messages: string[] = [];
  const ends: CallStatus[] = [];
  const handle = withReceiveLimits(
    streams.open,
    limits,
    clock,
  )({ message: (m) => messages.push(m), end: (status) => ends.push(status) });
  return { clock, stream: streams.last(1), messages, ends, handle };
}

describe("receive limits", () => {
  it("fail a stream whose first message is late", () => {
    const { clock, stream, ends } = open(CHART);
    clock.advance(2_999);
    assert.equal(ends.length, 0);
    clock.advance(1);
    assert.equal(ends[0]?.code, Code.DEADLINE_EXCEEDED);
    assert.ok(stream.cancelled);
    assert.equal(clock.timers, 0);
  });

  it("hold the idle limit against the first message where there is no limit of its own", () => {
    const { clock, ends } = open({ initialMs: undefined, idleMs: 500, lifetimeMs: undefined });
    clock.advance(500);
    assert.equal(ends[0]?.code, Code.DEADLINE_EXCEEDED);
  });

  it("end a stream in good order that fell silent, counting from the last message", () => {
    const { clock, stream, ends, messages } = open(CHART);
    stream.message("a");
    clock.advance(299_999);
    stream.message("b");
    clock.advance(299_999);
    assert.equal(ends.length, 0);
    clock.advance(1);
    assert.equal(ends[0]?.code, Code.OK);
    assert.deepEqual(messages, ["a", "b"]);
    assert.ok(stream.cancelled);
  });

  it("end a lively stream in good order at its lifetime", () => {
    const { clock, stream, ends } = open(CHART);
    for (let minute = 0; minute < 60; minute++) {
      assert.equal(ends.length, 0);
      stream.message("a");
      clock.advance(60_000);
    }
    assert.equal(ends[0]?.code, Code.OK);
    assert.equal(ends.length, 1);
    assert.equal(clock.timers, 0);
  });

  it("leave nothing behind when the stream ends by itself", () => {
    const { clock, stream, ends } = open(CHART);
    stream.message("a");
    stream.end({ code: Code.UNAVAILABLE, message: "gone" });
    clock.advance(10_000_000);
    assert.equal(ends.length, 1);
    assert.equal(clock.timers, 0);
  });

  it("leave nothing behind when the stream is cancelled", () => {
    const { clock, stream, ends, handle, messages } = open(CHART);
    handle.cancel();
    stream.message("late");
    stream.end({ code: Code.CANCELLED, message: "" });
    assert.ok(stream.cancelled);
    assert.deepEqual([messages, ends, clock.timers], [[], [], 0]);
  });

  it("are none where none are set", () => {
    const { clock, ends } = open(NO_LIMITS);
    assert.equal(clock.timers, 0);
    assert.equal(ends.length, 0);
  });
});
