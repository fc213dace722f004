import assert from "node:assert/strict";
import { test } from "node:test";
import { H1Server } from "../../src/http/server/h1.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { CASES, H, type Expected } from "../support/h1-request-cases.ts";
import { MemoryPair } from "../support/memory-transport.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { RecordingApp, type SeenRequest } from "../support/recording-app.ts";

/** Delivered in one piece, byte by byte, and cut at every CR. */
interface Outcome {
  readonly statuses: number[];
  readonly ended: boolean;
  readonly seen: SeenRequest[];
}
type Cut = (text: string) => string[];
const CUTS: readonly (readonly [string, Cut])[] = [
  ["at once", (text) => [text]],
  ["cut at every CR", (text) => text.split(/(?=\r)/)],
  ["byte by byte", (text) => Array.from(text)],
];

function run(pieces: string[]): Outcome {
  const pair = new MemoryPair();
  const app = new RecordingApp();
  const server = new H1Server(pair.right, app, { clock: new FakeClock() });
  const peer = new RawPeer(pair.left);
  peer.send(`GET /prime HTTP/1.1\r\n${H}\r\n`);
  pair.settle();
  assert.deepEqual(peer.statuses, [200]);
  peer.received = "";
  app.seen.length = 0;
  // Bytes go in directly: what matters is how they are cut.
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, "latin1");
    server.onBytes(bytes, 0, bytes.length);
    bytes.fill(0xdb);
  }
  pair.settle();
  return { statuses: peer.statuses, ended: peer.ended || peer.closed, seen: app.seen };
}

function check(outcome: Outcome, expected: Expected): void {
  const { statuses, ended, seen } = outcome;
  switch (expected.kind) {
    case "served":
      assert.deepEqual(
        statuses,
        expected.bodies.map(() => 200),
      );
      assert.deepEqual(
        seen.map((request) => request.body),
        expected.bodies,
      );
      assert.ok(seen.every((request) => request.complete));
      expected.check?.(seen);
      return;
    case "refused":
      assert.deepEqual(statuses, [...Array<number>(expected.served).fill(200), expected.status]);
      assert.equal(seen.length, expected.served);
      assert.ok(ended, "the connection is closed");
      return;
    default:
      assert.deepEqual(statuses, [400]);
      assert.equal(seen.length, 1);
      assert.equal(seen[0]?.complete, false, "the request never looks complete");
      assert.equal(seen[0]?.reset?.code, "bad_message");
      assert.ok(ended, "the connection is closed");
  }
}

for (const [name, text, expected] of CASES) {
  test(`${name}: ${expected.kind}`, () => {
    for (const [, cut] of CUTS) {
      // Byte by byte through long values proves nothing new.
      if (text.length > 100_000 && cut(text).length > 100_000) continue;
      check(run(cut(text)), expected);
    }
  });
}
