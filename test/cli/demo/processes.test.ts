import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { DemoProcesses } from "../../../src/cli/demo/processes.ts";

async function processesFor(t: TestContext, program: string, stopTimeoutMs?: number) {
  const directory = await mkdtemp(join(tmpdir(), "outrigger-processes-"));
  const file = join(directory, "program.mjs");
  await writeFile(file, program);
  const processes = new DemoProcesses(directory, stopTimeoutMs);
  t.after(async () => {
    await processes.stop();
    await rm(directory, { recursive: true });
  });
  return { processes, started: processes.start({ name: "program", args: [file], talk: "lines" }) };
}

test("lines go to a process and come back", async (t) => {
  const { started } = await processesFor(t, "process.stdin.pipe(process.stdout);");
  started.say("first");
  started.say("second");
  assert.equal(await started.line(), "first");
  assert.equal(await started.line(), "second");
});

test("a process that ends by itself is named, with its exit code and its last words", async (t) => {
  const { started, processes } = await processesFor(
    t,
    "console.error('no such port'); process.exitCode = 3;",
  );
  await assert.rejects(started.line(), /program (ended by itself|said nothing more)/);
  await assert.rejects(processes.ended, /program ended by itself \(exit code 3\):\n {2}no such port/);
});

test("a process that is stopped does not count as one that ended by itself", async (t) => {
  const { started, processes } = await processesFor(t, "console.log('up'); setInterval(() => {}, 1000);");
  assert.equal(await started.line(), "up");
  let ended = false;
  processes.ended.catch(() => (ended = true));
  await processes.stop();
  assert.equal(ended, false);
});

test("a process that ignores SIGTERM is ended all the same", async (t) => {
  const program = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000);";
  const { started } = await processesFor(t, program, 200);
  assert.equal(await started.line(), "up");
  await started.stop();
  await assert.rejects(started.line(), /said nothing more/);
});
