import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const SIGNALS = fileURLToPath(new URL("../../src/cli/signals.ts", import.meta.url));

/** A process that signals itself before it listens and after, and prints what it is told. */
const SCRIPT = `
const { watchSignals } = await import(${JSON.stringify(SIGNALS)});
const signals = watchSignals();
const turns = async () => { for (let i = 0; i < 5; i++) await new Promise((r) => setTimeout(r, 5)); };
for (const signal of process.argv.slice(1)) { process.kill(process.pid, signal); await turns(); }
signals.onShutdown((signal) => console.log("told " + signal));
process.kill(process.pid, "SIGTERM");
await turns();
console.log("alive");
process.exit(0);
`;

function run(...signals: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const args = [
      "--disable-warning=ExperimentalWarning",
      "--input-type=module",
      "-e",
      SCRIPT,
      "--",
      ...signals,
    ];
    const child = spawn(process.execPath, args);
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

describe("signals", () => {
  it("are remembered when they come before anyone listens, and told once", async () => {
    assert.deepEqual(await run("SIGINT", "SIGTERM"), { code: 0, out: "told SIGINT\nalive\n", err: "" });
  });

  it("of a terminal's end or for a debugger change nothing", async () => {
    assert.deepEqual(await run("SIGHUP", "SIGUSR1", "SIGPIPE"), {
      code: 0,
      out: "told SIGTERM\nalive\n",
      err: "",
    });
  });
});
