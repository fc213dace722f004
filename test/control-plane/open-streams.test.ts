import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { Cluster } from "../../src/control-plane/index/cluster.ts";
import { OpenStreams } from "../../src/control-plane/serve/open-streams.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { clusterOf } from "./support.ts";

/** A call whose client reads only when told to. */
class ScriptedCall extends EventEmitter {
  readonly written: number[] = [];
  full = false;
  ended = false;

  write(message: number): boolean {
    this.written.push(message);
    return !this.full;
  }

  end(): void {
    this.ended = true;
  }
}

function serve(count: () => number): { call: ScriptedCall; cell: WatchCell<Cluster>; streams: OpenStreams } {
  const cell = new WatchCell(clusterOf(""));
  const streams = new OpenStreams(cell);
  const call = new ScriptedCall();
  // The streams use write, end, emit and on, which the script has.
  const typed = call as unknown as ServerWritableStream<unknown, number>;
  streams.serve(typed, () => ({ kind: "send", messages: [count()] }));
  return { call, cell, streams };
}

test("gives a slow client the newest state once it reads again, and not what it missed", () => {
  let state = 1;
  const { call, cell } = serve(() => state);
  call.full = true;
  state = 2;
  cell.publish(clusterOf(""));
  state = 3;
  cell.publish(clusterOf(""));
  state = 4;
  cell.publish(clusterOf(""));
  assert.deepEqual(call.written, [1, 2]);
  call.full = false;
  call.emit("drain");
  assert.deepEqual(call.written, [1, 2, 4]);
  call.emit("drain");
  assert.deepEqual(call.written, [1, 2, 4]);
});

test("stops following once the client has left", () => {
  const { call, cell, streams } = serve(() => 1);
  call.emit("cancelled");
  cell.publish(clusterOf(""));
  assert.deepEqual(call.written, [1]);
  streams.endAll();
  assert.equal(call.ended, false);
});

test("ends all streams once", () => {
  const { call, cell, streams } = serve(() => 1);
  streams.endAll();
  assert.equal(call.ended, true);
  cell.publish(clusterOf(""));
  assert.deepEqual(call.written, [1]);
});
