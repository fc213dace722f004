import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { driftPerHour } from "../../bench/kinds/soak.ts";
import type { RunReport } from "../../bench/report/run-report.ts";
import { bench, MAIN, scratch } from "./run-bench.ts";
import { childrenOf } from "../support/end-together.ts";

test("lists every scenario and proxy, and which of them are missing", async () => {
  const { code, out } = await bench("--list");
  assert.equal(code, 0);
  for (const name of ["hop-http1", "pair-churn", "idle-10000", "soak", "haproxy", "http2-wrapper", "envoy"]) {
    assert.match(out, new RegExp(`^ +${name} `, "m"));
  }
});

for (const [args, problem] of [
  [["--rounds", "0"], '--rounds: found "0", expected a number above 0'],
  [["--scenario", "pair-http3"], '--scenario: found "pair-http3", expected some of hop-http1'],
  [["--against", "squid"], '--against: found "squid", expected some of haproxy'],
  [["--fast"], "--fast"],
  [["--short"], "--short: only together with --check"],
  [["--check", "--scenario", "hop-http1"], "what is measured stands in bench/budgets.json"],
] as const) {
  test(`refuses ${args.join(" ")}`, async () => {
    const { code, err } = await bench(...args);
    assert.equal(code, 64);
    assert.ok(err.includes(problem), err);
  });
}

test("takes the proxies and the load with it when a signal ends it", async () => {
  const child = spawn(process.execPath, [
    "--no-warnings",
    MAIN,
    "--scenario",
    "pair-tcp",
    "--against",
    "none",
  ]);
  const exited = once(child, "exit");
  const below = (pid: number): number[] => childrenOf(pid).flatMap((one) => [one, ...below(one)]);
  let started: number[] = [];
  // The load, the control plane and two proxies.
  while (started.length < 4) {
    assert.equal(child.exitCode, null, "the bench ended by itself");
    await pause(20);
    started = below(child.pid ?? 0);
  }
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [143, null]);
  const running = (): number[] => started.filter((pid) => existsSync(`/proc/${pid}`));
  const deadline = performance.now() + 5_000;
  while (running().length > 0 && performance.now() < deadline) await pause(20);
  assert.deepEqual(running(), []);
});

test("measures ourselves and a peer in turns, and writes figures and plots", async (t) => {
  const file = join(await scratch(t), "figures.json");
  const scenarios = ["hop-http1", "pair-grpc", "hop-tcp"];
  const { code, out, err } = await bench(
    ...["--scenario", scenarios.join(), "--against", "node:http2", "--json", file],
    ...["--rounds", "1", "--seconds", "0.2", "--warm-up", "0.2"],
  );
  assert.equal(code, 0, err);
  assert.match(out, /our CPU us\/request : theirs/);
  assert.match(err, /\[1\/3\] hop-http1: round 1 of 1 \(.* left at most\)/);
  const report = JSON.parse(await readFile(file, "utf8")) as RunReport;
  assert.deepEqual(report.scenarios.map(({ name }) => name).sort(), [...scenarios].sort());
  for (const { name, ways } of report.scenarios) {
    // That peer speaks HTTP/2 only.
    const others = ["hop-http1", "hop-tcp"].includes(name) ? [] : ["node:http2"];
    assert.deepEqual(ways.map((way) => way.name).sort(), ["direct", ...others, "outrigger"].sort());
    for (const way of ways) {
      const at = `${name}, ${way.name}`;
      assert.deepEqual(Object.keys(way.ratios).length > 0, others.includes(way.name), at);
      const [round] = way.rounds;
      const { figures } = round ?? assert.fail(at);
      assert.ok((figures.requestsPerSecond ?? 0) > 0, `${at}: no request was answered`);
      assert.equal(figures.errors, 0, at);
      assert.ok((figures.p50Micros ?? NaN) <= (figures.maxMicros ?? NaN), at);
      assert.equal(figures.cpuMicros === undefined, way.name === "direct", at);
      if (way.name !== "direct") {
        assert.ok((figures.cpuMicros ?? 0) > 1 && (figures.peakMiB ?? 0) >= 1, at);
        assert.ok(round !== undefined && round.memory.length > 0, at);
      }
    }
  }
  assert.match(await readFile(file.replace(".json", ".html"), "utf8"), /<h1>Outrigger bench<\/h1>/);
});

test("drift is the slope of the second half", () => {
  const samples = Array.from({ length: 100 }, (_, i): [number, number] => [
    i,
    i < 50 ? 100 + i : 150 + (i - 50) / 10,
  ]);
  assert.ok(Math.abs(driftPerHour(samples) - 360) < 1e-6);
  assert.equal(driftPerHour([]), 0);
});
