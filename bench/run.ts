import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeCerts } from "./certs.ts";
import { canPin } from "./harness/cpu.ts";
import type { Bench } from "./kinds/way.ts";
import { LoadProcess } from "./load/load-process.ts";
import { measure, secondsOf } from "./measure.ts";
import type { Peer } from "./peers/peer.ts";
import { Progress } from "./progress.ts";
import type { RunReport, ScenarioReport } from "./report/run-report.ts";
import type { RoundPlan } from "./settled.ts";
import { summarise } from "./summary.ts";
import type { Scenario } from "./suite.ts";

export interface RunOptions {
  readonly scenarios: readonly Scenario[];
  readonly ours: Peer;
  /** Those to compare with, present or not. */
  readonly against: readonly Peer[];
  readonly rounds: RoundPlan;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly minutes: number;
  readonly onLine: (line: string) => void;
  readonly onScenario: (report: ScenarioReport) => void;
}

/** Measures scenarios one after the other. */
export async function runBench(options: RunOptions): Promise<RunReport> {
  const { scenarios, ours, against, rounds, seconds, warmUpSeconds, minutes } = options;
  const absent = against.flatMap((peer) => {
    const reason = peer.missing();
    return reason === undefined ? [] : [{ name: peer.name, reason }];
  });
  for (const { name, reason } of absent) options.onLine(`Without ${name}: ${reason}.`);
  const present = against.filter((peer) => peer.missing() === undefined);
  if (!canPin())
    options.onLine("Processes cannot be kept on cores of their own here: the figures disturb each other.");
  const peersOf = (scenario: Scenario): readonly Peer[] =>
    [ours, ...(scenario.variants ?? []), ...present].filter((peer) => peer.takes(scenario.job));
  const dir = await mkdtemp(join(tmpdir(), "outrigger-bench-"));
  const load = await LoadProcess.start();
  const reports: ScenarioReport[] = [];
  try {
    const certs = await writeCerts(dir);
    const bench = { load, certs, dir, rounds, seconds, warmUpSeconds, minutes };
    const estimate = (scenario: Scenario): number =>
      secondsOf(scenario, { ...bench, onStep: () => {} }, peersOf(scenario));
    const progress = new Progress(scenarios.map(estimate), options.onLine);
    for (const scenario of scenarios) {
      progress.scenario(scenario.name);
      const onStep: Bench["onStep"] = (text, stepSeconds) => progress.step(text, stepSeconds);
      const report = summarise(
        scenario,
        await measure({ ...bench, peers: peersOf(scenario), onStep }, scenario),
      );
      reports.push(report);
      options.onScenario(report);
    }
  } finally {
    load.stop();
    await rm(dir, { recursive: true, force: true });
  }
  return {
    version: 2,
    date: new Date().toISOString(),
    machine: machine(),
    commit: commit(),
    options: { rounds: rounds.atLeast, roundsAtMost: rounds.atMost, seconds, warmUpSeconds },
    absent,
    scenarios: reports,
  };
}

const MIB = 1 << 20;

function machine(): RunReport["machine"] {
  return {
    cores: cpus().length,
    model: cpus()[0]?.model ?? "unknown",
    memoryMiB: Math.round(totalmem() / MIB),
    // The number alone: what a distribution adds says nothing about speed.
    kernel: release().split("-")[0] ?? "",
    node: process.version,
    pinned: canPin(),
  };
}

function commit(): string | undefined {
  const git = (...args: readonly string[]): string =>
    execFileSync("git", args, {
      cwd: fileURLToPath(new URL(".", import.meta.url)),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    return (
      git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "--", "../src") === "" ? "" : "+")
    );
  } catch {
    return undefined;
  }
}
