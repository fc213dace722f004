import assert from "node:assert/strict";
import type { OpenStream, StreamEvents } from "../../src/control/stream.ts";

/** One stream as the machine opened it. */
export interface OpenedStream<T> extends StreamEvents<T> {
  cancelled: boolean;
}

/** Streams whose every event the test sends. */
export class ScriptedStreams<T> {
  readonly opened: OpenedStream<T>[] = [];

  readonly open: OpenStream<T> = (events) => {
    const stream: OpenedStream<T> = {
      cancelled: false,
      message: (value) => events.message(value),
      end: (status) => events.end(status),
    };
    this.opened.push(stream);
    return {
      cancel() {
        stream.cancelled = true;
      },
    };
  };

  /** The stream that was opened last; there must be `count` of them by now. */
  last(count: number): OpenedStream<T> {
    assert.equal(this.opened.length, count);
    return this.opened.at(-1) ?? assert.fail("no stream was opened");
  }
}
