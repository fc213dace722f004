import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { describe, test } from "node:test";
import { FakeClock } from "../support/fake-clock.ts";
import { LINES_WAITING_BYTES_MAX, LineWriter } from "../../src/log/line-writer.ts";

function setUp(stream: Writable) {
  const clock = new FakeClock();
  let dropped = 0;
  const told: string[] = [];
  const writer = new LineWriter(stream, {
    clock,
    onDropped: (lines) => (dropped += lines),
    onLoss: (lines, reason) => told.push(`${lines}: ${reason}`),
  });
  return { writer, told, dropped: () => dropped, clock };
}

const LINE = `${"x".repeat(999)}\n`;

describe("lines for somebody who may not read them", () => {
  test("arrive whole, in order, in batches", async () => {
    const chunks: string[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk.toString());
        done();
      },
    });
    const { writer, dropped, clock } = setUp(stream);
    for (let i = 0; i < 100; i++) writer.write(`line ${i}\n`);
    assert.deepEqual(chunks, []);
    clock.advance(1);
    assert.equal(chunks.length, 1);
    assert.deepEqual(
      chunks.join("").split("\n").slice(0, -1),
      Array.from({ length: 100 }, (_, i) => `line ${i}`),
    );
    writer.write("last\n");
    writer.flush();
    assert.equal(chunks.at(-1), "last\n");
    assert.equal(dropped(), 0);
  });

  test("are dropped and counted beyond a bound, told of once a minute, and come again when there is room", async () => {
    const stream = new PassThrough({ highWaterMark: 1 });
    const { writer, told, dropped, clock } = setUp(stream);
    for (let i = 0; i < 3_000; i++) writer.write(LINE);
    clock.advance(1);
    assert.ok(stream.writableLength <= LINES_WAITING_BYTES_MAX, String(stream.writableLength));
    assert.ok(dropped() > 1_900 && dropped() < 3_000, String(dropped()));
    assert.deepEqual(told, ["1: its reader is too slow"]);
    clock.advance(60_000);
    const before = dropped();
    writer.write(LINE);
    assert.deepEqual(told.slice(1), [`${before}: its reader is too slow`]);
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    while (text.length < 1_000 * 1_000) await new Promise(setImmediate);
    const all = dropped();
    writer.write("after\n");
    clock.advance(1);
    while (!text.endsWith("after\n")) await new Promise(setImmediate);
    assert.equal(dropped(), all);
    assert.equal(text.replaceAll(LINE, ""), "after\n");
  });

  test("are lost and counted where writing fails, without an end to the process", async () => {
    let failing = true;
    const stream = new Writable({
      autoDestroy: false,
      write: (_chunk, _encoding, done) =>
        done(failing ? Object.assign(new Error("disk full"), { code: "ENOSPC" }) : null),
    });
    const { writer, told, dropped } = setUp(stream);
    for (let i = 0; i < 3; i++) writer.write(LINE);
    writer.flush();
    await new Promise(setImmediate);
    assert.deepEqual([dropped(), told], [3, ["3: disk full"]]);
    failing = false;
    writer.write(LINE);
    writer.flush();
    await new Promise(setImmediate);
    assert.equal(dropped(), 3);
  });

  for (const [what, reader] of [
    ["stuck", "sleep 5"],
    ["gone", "true"],
  ] as const) {
    test(`a process whose stderr is a pipe with a reader that is ${what} works on, and ends when it wants to`, async (t) => {
      const dir = await mkdtemp(join(tmpdir(), "outrigger-lines-"));
      const pipe = join(dir, "stderr");
      const script = `mkfifo "$2"; (exec ${reader}) < "$2" > "$2.out" & exec "$0" "$1" 2> "$2"`;
      const child = spawn("sh", ["-c", script, process.execPath, PROGRAM, pipe], {
        stdio: ["ignore", "pipe", "inherit"],
        // A process group of its own, to end the reader with.
        detached: true,
      });
      t.after(() => endGroup(child.pid));
      const exited = once(child, "exit");
      const startedAtMs = performance.now();
      const text = await child.stdout
        .setEncoding("utf8")
        .reduce((all: string, chunk: string) => all + chunk, "");
      await exited;
      assert.ok(performance.now() - startedAtMs < 4_000, "the process did not end by itself");
      await rm(dir, { recursive: true });
      const { dropped, waiting, longestTurnMs } = JSON.parse(text) as Record<string, number>;
      assert.ok((dropped ?? 0) > 0, text);
      assert.ok((waiting ?? Infinity) <= LINES_WAITING_BYTES_MAX, text);
      assert.ok((longestTurnMs ?? Infinity) < 200, text);
    });
  }
});

function endGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, "SIGKILL");
  } catch {
    // All of it has ended.
  }
}

const PROGRAM = join(import.meta.dirname, "writes-many-lines.ts");
