import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { Code, isInvalidRequest, isNoOutboundPolicy, type CallStatus } from "../../src/control/stream.ts";
import { runWatchStream } from "../../src/control/watch-stream.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ScriptedStreams } from "./scripted-stream.ts";

const BACKOFF = { minMs: 100, maxMs: 1000, jitter: 0 };
const unavailable: CallStatus = { code: Code.UNAVAILABLE, message: "gone" };
const ended: CallStatus = { code: Code.OK, message: "" };
const refused: CallStatus = { code: Code.INVALID_ARGUMENT, message: "what?" };

function run() {
  const clock = new FakeClock();
  const streams = new ScriptedStreams<string>();
  const values: string[] = [];
  const fatal: CallStatus[] = [];
  const held = new AbortController();
  runWatchStream<string>({
    open: streams.open,
    isFatal: isInvalidRequest,
    clock,
    backoff: BACKOFF,
    random: () => 0,
    signal: held.signal,
    onMessage: (value) => values.push(value),
    onFatal: (status) => fatal.push(status),
  });
  return { clock, streams, values, fatal, held };
}

describe("a watch stream", () => {
  it("opens at once and passes on every message", () => {
    const { streams, values } = run();
    const stream = streams.last(1);
    stream.message("a");
    stream.message("b");
    assert.deepEqual(values, ["a", "b"]);
  });

  it("waits longer after each failure to open", () => {
    const { clock, streams } = run();
    let count = 1;
    for (const pauseMs of [100, 200, 400, 800, 1000, 1000]) {
      streams.last(count).end(unavailable);
      clock.advance(pauseMs - 1);
      streams.last(count);
      clock.advance(1);
      streams.last(++count);
    }
  });

  it("opens again at once after a stream that had told something", () => {
    const { clock, streams } = run();
    streams.last(1).message("a");
    clock.advance(5000);
    streams.last(1).end(ended);
    clock.advance(0);
    streams.last(2);
  });

  it("starts its backoff afresh once a message came", () => {
    const { clock, streams } = run();
    streams.last(1).end(unavailable);
    clock.advance(100);
    streams.last(2).end(unavailable);
    clock.advance(200);
    streams.last(3).message("a");
    clock.advance(5000);
    streams.last(3).end(unavailable);
    clock.advance(0);
    streams.last(4).end(unavailable);
    clock.advance(99);
    streams.last(4);
    clock.advance(1);
    streams.last(5);
  });

  it("opens no faster than its shortest pause against a server that hangs up after each message", () => {
    const { clock, streams } = run();
    for (let i = 1; i <= 20; i++) {
      streams.last(i).message("a");
      streams.last(i).end(ended);
      clock.advance(99);
      streams.last(i);
      clock.advance(1);
    }
  });

  it("stops at a final status before the first message", () => {
    const { clock, streams, fatal } = run();
    streams.last(1).end(refused);
    clock.advance(100_000);
    streams.last(1);
    assert.deepEqual(fatal, [refused]);
    assert.equal(clock.timers, 0);
  });

  it("stops at a final status after a message, leaving the message true", () => {
    const { clock, streams, fatal, values } = run();
    streams.last(1).message("a");
    streams.last(1).end(refused);
    clock.advance(100_000);
    streams.last(1);
    assert.deepEqual(fatal, [refused]);
    assert.deepEqual(values, ["a"]);
  });

  it("cancels its stream when nobody holds it, and tells nothing any more", () => {
    const { clock, streams, values, held, fatal } = run();
    held.abort();
    const stream = streams.last(1);
    assert.ok(stream.cancelled);
    stream.message("late");
    stream.end(refused);
    clock.advance(100_000);
    assert.deepEqual(values, []);
    assert.deepEqual(fatal, []);
    assert.equal(clock.timers, 0);
  });

  it("forgets a pause when nobody holds it", () => {
    const { clock, streams, held } = run();
    streams.last(1).end(unavailable);
    held.abort();
    assert.equal(clock.timers, 0);
    clock.advance(100_000);
    streams.last(1);
  });

  it("opens nothing for somebody who has left already", () => {
    const streams = new ScriptedStreams<string>();
    runWatchStream<string>({
      open: streams.open,
      isFatal: isInvalidRequest,
      clock: new FakeClock(),
      backoff: BACKOFF,
      signal: AbortSignal.abort(),
      onMessage: () => assert.fail(),
      onFatal: () => assert.fail(),
    });
    assert.equal(streams.opened.length, 0);
  });

  it("survives streams that fail while they are being opened", () => {
    const clock = new FakeClock();
    const held = new AbortController();
    let opens = 0;
    runWatchStream<string>({
      open: (events) => {
        opens++;
        events.end(unavailable);
        return { cancel: () => {} };
      },
      isFatal: isInvalidRequest,
      clock,
      backoff: BACKOFF,
      random: () => 0,
      signal: held.signal,
      onMessage: () => assert.fail(),
      onFatal: () => assert.fail(),
    });
    clock.advance(300);
    assert.equal(opens, 3);
    held.abort();
    assert.equal(clock.timers, 0);
  });

  it("has at most one stream and one timer, and passes on every message, whatever happens", () => {
    const event = fc.oneof(
      fc.constantFrom("message", "end", "fail"),
      fc.nat(3000).map((ms) => ms + 1),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const { clock, streams, values, held } = run();
        let live = 1;
        let sent = 0;
        for (const e of events) {
          if (typeof e === "number") clock.advance(e);
          const opened = streams.opened.length;
          const current = streams.opened.at(-1);
          if (typeof e === "string" && opened === live) {
            if (e === "message") {
              current?.message(String(++sent));
            } else {
              current?.end(e === "end" ? ended : unavailable);
              live++;
            }
          }
          // Either the newest stream runs, or a timer will open the next.
          assert.equal(streams.opened.length === live ? 0 : 1, clock.timers);
        }
        assert.equal(values.length, sent);
        held.abort();
        assert.equal(clock.timers, 0);
      }),
    );
  });
});

describe("final statuses", () => {
  const codes = Array.from({ length: 17 }, (_, code) => code);
  it("are INVALID_ARGUMENT and FAILED_PRECONDITION for most calls", () => {
    assert.deepEqual(codes.filter(isInvalidRequest), [3, 9]);
  });
  it("are NOT_FOUND and UNIMPLEMENTED too for outbound policies", () => {
    assert.deepEqual(codes.filter(isNoOutboundPolicy), [3, 5, 9, 12]);
  });
});
