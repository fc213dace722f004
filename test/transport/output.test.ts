import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import * as fc from "fast-check";
import { OUTPUT_BUFFER_BYTES, pooledOutputBuffers } from "../../src/transport/output-buffer.ts";
import { poisonFreedBuffers } from "../../src/transport/poison.ts";
import { Output, OUTPUT_BOUND_BYTES } from "../../src/transport/output.ts";

/**
 * The writable half of a socket: takes a write at once and calls back later, or keeps the bytes until `complete` and
 * reads them only then. The latter finds every buffer that is reused too early.
 */
class ScriptedSocket {
  takesAtOnce = true;
  sent: Buffer[] = [];
  writes = 0;
  batches: number[] = [];
  #corked = 0;
  #batch: { view: Buffer; done: () => void }[] = [];
  #kept: { view: Buffer; done: () => void }[] = [];
  #callbacks: (() => void)[] = [];

  get writableLength(): number {
    return this.#kept.reduce((sum, { view }) => sum + view.length, 0);
  }

  cork(): void {
    this.#corked++;
  }

  uncork(): void {
    this.#corked--;
    if (this.#corked === 0) this.#leave();
  }

  write(view: Buffer, done: () => void = () => {}): boolean {
    // One without bytes only asks to be told when those before it are gone.
    if (view.length > 0) this.writes++;
    this.#batch.push({ view, done });
    if (this.#corked === 0) this.#leave();
    return true;
  }

  /** Calls back for everything that the kernel took at once. */
  tick(): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const done of callbacks) done();
  }

  /** The kernel takes what was kept. */
  complete(): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const { view } of kept) this.sent.push(Buffer.from(view));
    for (const { done } of kept) done();
  }

  #leave(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.batches.push(batch.length);
    if (this.takesAtOnce && this.#kept.length === 0) {
      for (const { view, done } of batch) {
        this.sent.push(Buffer.from(view));
        this.#callbacks.push(done);
      }
    } else {
      this.#kept.push(...batch);
    }
  }
}

/** @param takesAtOnce what the output expects of its socket: it must be right with either. */
function scripted(takesAtOnce = false): { output: Output; socket: ScriptedSocket; drained: () => number } {
  const socket = new ScriptedSocket();
  let drained = 0;
  // The output uses write, cork, uncork and writableLength alone.
  const output = new Output(
    socket as unknown as Socket,
    {
      onOutputDrained: () => drained++,
      onOutputBroken: (error) => assert.fail(String(error)),
    },
    takesAtOnce,
  );
  return { output, socket, drained: () => drained };
}

before(() => poisonFreedBuffers(true));
after(() => poisonFreedBuffers(false));

describe("Output", () => {
  it("sends every byte once and in order, however writes, flushes and completions interleave", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("write" as const), size: fc.integer({ min: 1, max: 50_000 }) }),
      fc.record({ kind: fc.constant("reserve" as const), size: fc.integer({ min: 1, max: 40_000 }) }),
      fc.record({ kind: fc.constant("mode" as const), atOnce: fc.boolean() }),
      fc.constantFrom({ kind: "flush" as const }, { kind: "tick" as const }, { kind: "complete" as const }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        // Two connections share the pool and take turns, as they do in the proxy.
        const sides = [scripted(false), scripted(true)];
        const wanted: Buffer[][] = [[], []];
        let stamp = 0;
        steps.forEach((s, i) => {
          const side = sides[i % 2];
          assert.ok(side !== undefined);
          const { output, socket } = side;
          if (s.kind === "write") {
            const bytes = Buffer.alloc(s.size, ++stamp & 0x7f);
            wanted[i % 2]?.push(bytes);
            output.write(bytes, 0, bytes.length);
          } else if (s.kind === "reserve") {
            const at = output.reserve(s.size);
            const used = s.size >> 1;
            output.buffer.fill(++stamp & 0x7f, at, at + used);
            wanted[i % 2]?.push(Buffer.from(output.buffer.subarray(at, at + used)));
            output.commit(at + used);
          } else if (s.kind === "mode") socket.takesAtOnce = s.atOnce;
          else if (s.kind === "flush") output.flush();
          else if (s.kind === "tick") socket.tick();
          else socket.complete();
        });
        // A buffer may still owe a callback to the connection that used it before: both sides go on together.
        for (let round = 0; sides.some(({ output }) => output.waitingBytes > 0); round++) {
          assert.ok(round < 20, "output is stuck");
          for (const { output } of sides) output.flush();
          for (const { socket } of sides) socket.tick();
          for (const { socket } of sides) socket.complete();
        }
        sides.forEach(({ output, socket }, i) => {
          assert.equal(Buffer.compare(Buffer.concat(socket.sent), Buffer.concat(wanted[i] ?? [])), 0);
          assert.equal(output.blocked, false);
        });
      }),
      { numRuns: 60 },
    );
  });

  it("issues no second write while one is in flight, and then sends the rest as one batch", () => {
    const { output, socket } = scripted();
    socket.takesAtOnce = false;
    output.write(Buffer.from("first"), 0, 5);
    output.flush();
    const chunk = Buffer.alloc(OUTPUT_BUFFER_BYTES, 1);
    output.write(chunk, 0, chunk.length);
    output.write(chunk, 0, 10);
    output.flush();
    assert.equal(socket.writes, 1);
    socket.complete();
    assert.deepEqual(socket.batches, [1, 2]);
    socket.complete();
    assert.equal(output.waitingBytes, 0);
  });

  it("asks a socket that takes writes at once for no callback, until it does not take one", () => {
    const { output, socket } = scripted(true);
    output.write(Buffer.from("first"), 0, 5);
    const taken = pooledOutputBuffers();
    output.flush();
    assert.equal(pooledOutputBuffers(), taken + 1, "the buffer is free before any tick");
    socket.takesAtOnce = false;
    output.write(Buffer.from("second"), 0, 6);
    output.flush();
    assert.equal(output.waitingBytes, 6);
    assert.equal(pooledOutputBuffers(), taken);
    socket.complete();
    assert.equal(output.waitingBytes, 0);
    assert.equal(pooledOutputBuffers(), taken + 1);
    assert.equal(Buffer.concat(socket.sent).toString(), "firstsecond");
  });

  it("flushes at once when the bound is reached and nothing is in flight", () => {
    const { output, socket } = scripted();
    const chunk = Buffer.alloc(OUTPUT_BOUND_BYTES + 1, 1);
    output.write(chunk, 0, chunk.length);
    assert.equal(socket.writes > 0, true);
    assert.equal(output.blocked, false);
    assert.equal(output.waitingBytes, 0);
  });

  it("is blocked above the bound and drains at half of it", () => {
    const { output, socket, drained } = scripted();
    socket.takesAtOnce = false;
    const chunk = Buffer.alloc(OUTPUT_BOUND_BYTES, 1);
    output.write(chunk, 0, chunk.length);
    output.flush();
    assert.equal(output.blocked, false);
    output.write(chunk, 0, 1);
    assert.equal(output.blocked, true);
    socket.complete();
    assert.equal(output.blocked, false);
    assert.equal(drained(), 1);
  });

  it("gives its buffer back when nothing waits, also one that was reserved in vain", async () => {
    const { output, socket } = scripted();
    // Outputs of the tests before may have theirs to give back.
    await new Promise((resolve) => setImmediate(resolve));
    output.reserve(10);
    const taken = pooledOutputBuffers();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(pooledOutputBuffers(), taken + 1);
    assert.equal(socket.writes, 0);
  });

  it("refuses a commit that does not follow a reserve", () => {
    const { output } = scripted();
    assert.throws(() => output.commit(0), /does not follow a reserve/);
    output.reserve(10);
    assert.throws(() => output.commit(OUTPUT_BUFFER_BYTES + 1), /does not follow a reserve/);
  });
});
