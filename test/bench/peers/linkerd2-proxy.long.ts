import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { linkerd2Proxy } from "../../../bench/peers/linkerd2-proxy.ts";
import { noRedirection } from "../../../bench/peers/redirection.ts";
import { PROXY_RUNTIME_FLAGS } from "../../../src/cli/runtime-flags.ts";

const VARIABLE = "OUTRIGGER_BENCH_LINKERD2_PROXY";
const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const MATRIX = fileURLToPath(new URL("../peers.long.ts", import.meta.url));
const REDIRECTION = new URL("../../../bench/peers/redirection.ts", import.meta.url).href;

/** Hop and pair of HTTP/1, HTTP/2 and bytes. */
const JOBS = 6;

describe("linkerd2-proxy as a peer of the bench", () => {
  let dir = "";

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "outrigger-linkerd-"));
  });

  after(async () => {
    delete process.env[VARIABLE];
    await rm(dir, { recursive: true, force: true });
  });

  test("is missing without its program, and where it would redirect the traffic of others", async () => {
    delete process.env[VARIABLE];
    assert.match(linkerd2Proxy.missing() ?? "", /^OUTRIGGER_BENCH_LINKERD2_PROXY.* is not set$/);
    process.env[VARIABLE] = await ourselves(dir);
    const problem = noRedirection();
    if (problem === undefined) assert.equal(linkerd2Proxy.missing(), undefined);
    else
      assert.ok(linkerd2Proxy.missing()?.includes(`${problem}: run this in a network namespace of its own`));
  });

  /**
   * Ourselves take the environment of the stock proxy: played so, with neither forwards nor leave to use loopback and with
   * the kernel's word alone for original destinations, we show that set-up and redirection suffice for such a proxy. Whether
   * the stock proxy is content with the embedded control plane shows only with its program.
   */
  test("carries everything in a network namespace of its own when ourselves play it", async (t) => {
    const probe = await inNamespace(
      ["--input-type=module", "-e", `console.log((await import("${REDIRECTION}")).noRedirection())`],
      {},
    );
    if (probe.output.trim() !== "undefined") return t.skip(`nothing can be redirected here: ${probe.output}`);
    const only = "linkerd2-proxy carries";
    const { code, output } = await inNamespace(
      ["--test-reporter=tap", `--test-name-pattern=${only}`, MATRIX],
      { [VARIABLE]: await ourselves(dir) },
    );
    assert.equal(code, 0, output);
    assert.ok(output.includes(`# pass ${JOBS}\n`), output);
    assert.ok(output.includes("# skipped 0\n"), output);
  });
});

/** Runs Node in a network namespace that has loopback and nothing else. */
async function inNamespace(args: readonly string[], env: Readonly<Record<string, string>>) {
  const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
  const script = 'ip link set lo up && exec "$0" "$@"';
  const argv = [...asRoot, "--net", "sh", "-c", script, process.execPath, ...PROXY_RUNTIME_FLAGS, ...args];
  const { NODE_TEST_CONTEXT: _, ...own } = process.env;
  const child = spawn("unshare", argv, { env: { ...own, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  const [out, err, code] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended]);
  return { code, output: `${out.toString()}${err.toString()}` };
}

/** An executable file that is our proxy without what only ours has. Refuses to start without key and request, as the stock one. */
async function ourselves(dir: string): Promise<string> {
  const file = join(dir, "linkerd2-proxy");
  const node = [process.execPath, ...PROXY_RUNTIME_FLAGS, MAIN].map((word) => `"${word}"`).join(" ");
  await writeFile(
    file,
    `#!/bin/sh
for document in key.p8 csr.der; do
  test -s "$LINKERD2_PROXY_IDENTITY_DIR/$document" || exit 64
done
test "$LINKERD2_PROXY_CORES" = 1 || exit 64
unset OUTRIGGER_ALLOW_LOOPBACK OUTRIGGER_FORWARD
OUTRIGGER_ORIG_DST=so_original_dst exec ${node} proxy
`,
    { mode: 0o700 },
  );
  return file;
}
