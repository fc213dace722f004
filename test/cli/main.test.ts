import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { BUILD } from "../../src/config/build-info.ts";
import { INHERITED } from "../../src/cli/inherited-environment.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const DIR = mkdtempSync(join(tmpdir(), "outrigger-cli-"));
after(() => rmSync(DIR, { recursive: true }));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line with no variables of its own but the given ones. */
function outrigger(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
      env: { ...INHERITED, ...env },
    });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

describe("the command line", { concurrency: 2 }, () => {
  it("explains itself", async () => {
    const { code, out } = await outrigger(["--help"]);
    assert.equal(code, 0);
    for (const command of ["proxy", "control-plane", "demo", "init"])
      assert.match(out, new RegExp(`^  ${command} `, "m"));
  });

  it("tells its version", async () => {
    assert.deepEqual(await outrigger(["--version"]), {
      code: 0,
      out: `outrigger ${BUILD.version}\n`,
      err: "",
    });
  });

  it("lists the commands when it does not know one, and exits with 64", async () => {
    const unknown = await outrigger(["prox"]);
    assert.equal(unknown.code, 64);
    assert.match(unknown.err, /unknown command "prox"; the commands are:\n {2}proxy /);
    const none = await outrigger([]);
    assert.equal(none.code, 64);
    assert.match(none.err, /no command given/);
  });

  it("explains the proxy command", async () => {
    const { code, out } = await outrigger(["proxy", "--help"]);
    assert.equal(code, 0);
    assert.match(out, /^Usage: outrigger proxy/);
  });

  it("refuses options that the proxy command does not have", async () => {
    const { code, err } = await outrigger(["proxy", "--confg", "x"]);
    assert.equal(code, 64);
    assert.match(err, /--confg/);
  });

  it("lists every configuration problem in one message, logs each, and starts nothing", async () => {
    const { code, out, err } = await outrigger(["proxy"], {
      LINKERD2_PROXY_INGRESS_MODE: "yes",
      LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT: "300",
    });
    assert.equal(code, 64);
    assert.match(err, /^Invalid configuration:\n( {2}- .+\n){10}$/);
    assert.match(err, /LINKERD2_PROXY_INGRESS_MODE="yes" is not valid: not a boolean/);
    assert.match(out, /ERROR ThreadId\(01\) linkerd_app: LINKERD2_PROXY_INGRESS_MODE="yes" is not valid/);
    assert.doesNotMatch(out, /interface on/);
  });

  it("names file and line of what is wrong in an env file", async () => {
    const file = join(DIR, "bad.env");
    writeFileSync(file, "A=1\nnonsense\n");
    const bad = await outrigger(["proxy", "--config", file]);
    assert.deepEqual(
      [bad.code, bad.err],
      [64, `Invalid configuration:\n  - ${file}: line 2: has no =, expected NAME=VALUE\n`],
    );
    const missing = await outrigger(["proxy", "--config", join(DIR, "none.env")]);
    assert.equal(missing.code, 64);
    assert.match(missing.err, /none\.env: it cannot be read/);
  });

  it("lets the environment win over an env file", async () => {
    const file = join(DIR, "some.env");
    writeFileSync(file, "LINKERD2_PROXY_INGRESS_MODE=file\nLINKERD2_PROXY_OUTBOUND_DETECT_TIMEOUT=file\n");
    const { err } = await outrigger(["proxy", "--config", file], {
      LINKERD2_PROXY_INGRESS_MODE: "environment",
    });
    assert.match(err, /INGRESS_MODE="environment"/);
    assert.match(err, /DETECT_TIMEOUT="file"/);
  });

  it("writes problems as JSON lines where that is the format", async () => {
    const { out } = await outrigger(["proxy"], { LINKERD2_PROXY_LOG_FORMAT: "json" });
    const levels = out
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { level: string }).level);
    assert.deepEqual([levels[0], levels.at(-1)], ["INFO", "ERROR"]);
  });

  it("says which log directives it ignores", async () => {
    const { err } = await outrigger(["proxy"], { LINKERD2_PROXY_LOG: "info,a=loud" });
    assert.match(err, /^ignoring a log directive: "a=loud" has no level/);
  });
});
