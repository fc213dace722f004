import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as check, property, uint8Array } from "fast-check";
import { ByteBudget } from "../../src/http/byte-budget.ts";
import { PROCESS_REPLAY_MEMORY, ReplayBuffer } from "../../src/http/replay-buffer.ts";

const KIB = 1024;

test("a body is kept as one piece, however it came", () => {
  check(
    property(array(uint8Array({ maxLength: 3_000 }), { maxLength: 20 }), (pieces) => {
      const memory = new ByteBudget(1_000_000);
      const body = new ReplayBuffer(64 * KIB, memory);
      for (const piece of pieces) {
        const range = Buffer.concat([Buffer.from("before"), piece, Buffer.from("behind")]);
        assert.ok(body.append(range, 6, 6 + piece.length));
        // The range belongs to whoever read it.
        range.fill(0xdb);
      }
      assert.deepEqual(body.bytes.subarray(0, body.length), Buffer.concat(pieces));
      body.spill();
      assert.equal(memory.usedBytes, 0);
    }),
  );
});

test("outbound 8.3, LIM-20: 64 KiB are kept, one byte more lets go of all, whatever the policy allows", () => {
  const memory = new ByteBudget(1_000_000);
  const body = new ReplayBuffer(1_000_000, memory);
  assert.ok(body.append(Buffer.alloc(64 * KIB), 0, 64 * KIB));
  assert.equal(body.length, 64 * KIB);
  assert.equal(body.append(Buffer.alloc(1), 0, 1), false);
  assert.deepEqual([body.spilled, body.length, body.bytes.length, memory.usedBytes], [true, 0, 0, 0]);
  assert.equal(body.append(Buffer.alloc(1), 0, 1), false);
});

test("a policy may keep less", () => {
  const body = new ReplayBuffer(10, new ByteBudget(1_000_000));
  assert.ok(body.append(Buffer.alloc(10), 0, 10));
  assert.equal(body.append(Buffer.alloc(1), 0, 1), false);
});

test("LIM-20: when the process holds its share, further bodies are not kept, until others are let go", () => {
  const memory = new ByteBudget(64 * KIB);
  const [first, second] = [new ReplayBuffer(64 * KIB, memory), new ReplayBuffer(64 * KIB, memory)];
  assert.ok(first.append(Buffer.alloc(60 * KIB), 0, 60 * KIB));
  assert.equal(second.append(Buffer.alloc(8 * KIB), 0, 8 * KIB), false);
  first.spill();
  first.spill();
  assert.equal(memory.usedBytes, 0);
  assert.ok(new ReplayBuffer(64 * KIB, memory).append(Buffer.alloc(60 * KIB), 0, 60 * KIB));
});

test("a body of tiny pieces costs no more than twice its bytes, and at least a page of them", () => {
  const memory = new ByteBudget(1_000_000);
  const body = new ReplayBuffer(64 * KIB, memory);
  const piece = Buffer.from("x");
  for (let i = 0; i < 5_000; i++) body.append(piece, 0, 1);
  assert.equal(memory.usedBytes, 8 * KIB);
});

test("an empty piece costs nothing", () => {
  const before = PROCESS_REPLAY_MEMORY.usedBytes;
  const body = new ReplayBuffer(64 * KIB);
  assert.ok(body.append(Buffer.alloc(0), 0, 0));
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, before);
});
