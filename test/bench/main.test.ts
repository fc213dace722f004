import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

interface Run {
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

function bench(...args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--no-warnings", MAIN, ...args], (error, out, err) => {
      resolve({ code: error?.code ?? 0, out, err });
    });
  });
}

async function scratch(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-bench-test-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** What of the written figures is looked at here. */
interface Results {
  readonly scenarios: readonly {
    readonly name: string;
    readonly ratios: Readonly<Record<string, Readonly<Record<string, number | null>>>>;
    readonly rounds: Readonly<
      Record<
        string,
        readonly {
          readonly requests: number;
          readonly errors: number;
          readonly cpuMicrosPerRequest: number | null;
          readonly mibPerSecond: number;
          readonly backgroundBytes: number;
          readonly latency: { readonly p50: number; readonly p99: number; readonly max: number };
        }[]
      >
    >;
  }[];
}

test("lists every scenario and proxy, and which of them are missing", async () => {
  const { code, out } = await bench("--list");
  assert.equal(code, 0);
  for (const name of ["hop-http1", "pair-grpc", "pair-fair", "haproxy", "http2-wrapper"]) {
    assert.match(out, new RegExp(`^ +${name} `, "m"));
  }
});

for (const [args, problem] of [
  [["--rounds", "0"], '--rounds: found "0", expected a number above 0'],
  [["--scenario", "pair-http3"], '--scenario: found "pair-http3", expected some of hop-http1'],
  [["--against", "squid"], '--against: found "squid", expected some of haproxy'],
  [["--fast"], "--fast"],
] as const) {
  test(`refuses ${args.join(" ")}`, async () => {
    const { code, err } = await bench(...args);
    assert.equal(code, 64);
    assert.ok(err.includes(problem), err);
  });
}

test("measures ourselves and a peer in turns, and writes what it saw", async (t) => {
  const file = join(await scratch(t), "figures.json");
  const scenarios = ["hop-http1", "pair-grpc", "pair-upload", "pair-fair"];
  const { code, out, err } = await bench(
    ...["--scenario", scenarios.join(), "--against", "node:http2", "--json", file],
    ...["--rounds", "1", "--seconds", "0.2", "--warm-up", "0.2"],
  );
  assert.equal(code, 0, err);
  assert.match(out, /our CPU : theirs/);
  const results = JSON.parse(await readFile(file, "utf8")) as Results;
  assert.deepEqual(results.scenarios.map(({ name }) => name).sort(), [...scenarios].sort());
  for (const { name, ratios, rounds } of results.scenarios) {
    // That peer speaks HTTP/2 only.
    const others = name === "hop-http1" ? [] : ["node:http2"];
    assert.deepEqual(Object.keys(ratios), others);
    assert.deepEqual(Object.keys(rounds).sort(), ["direct", ...others, "outrigger"].sort());
    for (const [way, [round]] of Object.entries(rounds)) {
      assert.ok(round !== undefined && round.requests > 0, `${name}, ${way}: no request was answered`);
      assert.equal(round.errors, 0, `${name}, ${way}`);
      assert.ok(round.latency.p50 <= round.latency.p99 && round.latency.p99 <= round.latency.max);
      if (way !== "direct") assert.ok((round.cpuMicrosPerRequest ?? 0) > 1, `${name}, ${way}`);
      if (name === "pair-upload") assert.ok(round.mibPerSecond >= (10 * round.requests) / 60);
      if (name === "pair-fair" && way !== "node:http2") assert.ok(round.backgroundBytes > 0, way);
    }
  }
});
