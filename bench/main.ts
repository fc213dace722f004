/** `npm run bench`: what the pair of sidecars costs and adds, against the direct path and a pair on `node:http2`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { probeReadMode } from "../src/transport/shared-reads.ts";
import { TestCa } from "../test/support/certs.ts";
import { freePort, ProcessMesh } from "../test/support/process-mesh.ts";
import { startChild, type Child } from "./harness/child.ts";
import { canPin, cpuMicros, LOAD_CORE, pinned, pinSelf, PROXY_CORE, rssMiB } from "./harness/cpu.ts";
import { load } from "./harness/load.ts";
import type { LoadResult, LoadTarget } from "./harness/load-result.ts";
import { median, ratioText, table } from "./harness/report.ts";

const HELP = `npm run bench -- [options]

  --seconds N   measured seconds per path and round (default 4)
  --rounds N    rounds; the paths of a scenario take turns in each (default 3)
  --help

Measures a closed loop over 64 connections: the application directly, through the pair of sidecars over mutual TLS, and
for HTTP/2 through an equal pair built on node:http2. Prints a table and writes bench/results/DATE.json.`;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "4" },
    rounds: { type: "string", default: "3" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help === true) {
  console.log(HELP);
  process.exit(0);
}
const seconds = positive("--seconds", values.seconds);
const rounds = positive("--rounds", values.rounds);

/** One way to the application. */
interface Path {
  readonly name: string;
  readonly target: LoadTarget;
  /** Proxies on the way, by what they are called. */
  readonly proxies: Readonly<Record<string, number>>;
}

interface Measurement extends LoadResult {
  readonly requestsPerSecond: number;
  readonly cpuMicrosPerRequest: Readonly<Record<string, number>>;
  /** Of all proxies together. */
  readonly pairCpuMicrosPerRequest: number;
  readonly rssMiB: Readonly<Record<string, number>>;
}

const WARM_UP_SECONDS = 2;

pinSelf(LOAD_CORE);
await probeReadMode();
const dir = await mkdtemp(join(tmpdir(), "outrigger-bench-"));
const children: Child<unknown>[] = [];
const app = await keep(startChild<{ http1: number; http2: number }>("apps/app.ts", [], LOAD_CORE));
const mesh = await ProcessMesh.start({
  workloads: [
    { name: "client", ports: {}, proxyPort: await freePort() },
    { name: "web", ports: app.ports, proxyPort: await freePort() },
  ],
  prefix: pinned(PROXY_CORE),
  logFilter: "warn",
});
try {
  const service = "web.shop.svc.cluster.local";
  const forwards = [`${service}:${app.ports.http1}`, `${service}:${app.ports.http2}`];
  const client = await mesh.sidecar("client", forwards);
  const server = await mesh.sidecar("web");
  const [http1 = 0, http2 = 0] = client.forwardPorts;
  const pair = { "outbound proxy": client.pid, "inbound proxy": server.pid };
  const peer = await nodeHttp2Pair(app.ports.http2);

  const over1 = { protocol: "http1", path: "/", connections: 64, streams: 1 } as const;
  const over2 = { protocol: "http2", path: "/", connections: 64, streams: 1 } as const;
  const scenarios: Record<string, readonly Path[]> = {
    "HTTP/1, 64 connections": [
      { name: "direct", target: { ...over1, port: app.ports.http1 }, proxies: {} },
      { name: "pair", target: { ...over1, port: http1 }, proxies: pair },
    ],
    "HTTP/2, 64 connections": [
      { name: "direct", target: { ...over2, port: app.ports.http2 }, proxies: {} },
      { name: "pair", target: { ...over2, port: http2 }, proxies: pair },
      { name: "node:http2 pair", target: { ...over2, port: peer.port }, proxies: peer.proxies },
    ],
  };

  const results: Record<string, Record<string, Measurement[]>> = {};
  for (const [name, paths] of Object.entries(scenarios)) {
    const byPath: Record<string, Measurement[]> = {};
    results[name] = byPath;
    for (const { target } of paths) await load(target, WARM_UP_SECONDS);
    for (let round = 1; round <= rounds; round++) {
      for (const path of paths) {
        process.stderr.write(`${name}: round ${round} of ${rounds}, ${path.name}\n`);
        (byPath[path.name] ??= []).push(await measure(path));
      }
    }
    console.log(`\n${name}\n${table(Object.entries(byPath).map(([path, all]) => row(path, all)))}`);
  }
  const http2Results = results["HTTP/2, 64 connections"] ?? {};
  const cost = (path: string): number =>
    median((http2Results[path] ?? []).map((m) => m.pairCpuMicrosPerRequest));
  const ratio = cost("pair") / cost("node:http2 pair");
  console.log(
    `\nCPU per request of the pair on HTTP/2: ${ratioText(ratio)} of the node:http2 pair in the same run.`,
  );
  save({ ratioToNodeHttp2: ratio, scenarios: results });
} finally {
  await mesh.close();
  for (const child of children) child.stop();
  await rm(dir, { recursive: true, force: true });
}

async function measure({ target, proxies }: Path): Promise<Measurement> {
  const before = Object.entries(proxies).map(([name, pid]) => [name, pid, cpuMicros(pid)] as const);
  const result = await load(target, seconds);
  const used = before.map(
    ([name, pid, micros]) => [name, (cpuMicros(pid) - micros) / result.requests] as const,
  );
  return {
    ...result,
    requestsPerSecond: result.requests / result.seconds,
    cpuMicrosPerRequest: Object.fromEntries(used),
    pairCpuMicrosPerRequest: used.reduce((sum, [, micros]) => sum + micros, 0),
    rssMiB: Object.fromEntries(before.map(([name, pid]) => [name, rssMiB(pid)])),
  };
}

function row(path: string, all: readonly Measurement[]): Record<string, string> {
  const of = (f: (m: Measurement) => number): number => median(all.map(f));
  const parts = Object.keys(all[0]?.cpuMicrosPerRequest ?? {});
  const cpu = parts
    .map((part) => `${part} ${of((m) => m.cpuMicrosPerRequest[part] ?? 0).toFixed(1)}`)
    .join(", ");
  return {
    path,
    "requests/s": Math.round(of((m) => m.requestsPerSecond)).toString(),
    "p50 ms": of((m) => m.p50Ms).toFixed(2),
    "p99 ms": of((m) => m.p99Ms).toFixed(2),
    errors: all.reduce((sum, m) => sum + m.errors, 0).toString(),
    "CPU us/request": cpu === "" ? "-" : cpu,
  };
}

async function nodeHttp2Pair(appPort: number) {
  const ca = TestCa.create();
  const leaf = ca.issue({ id: "peer.test" });
  await writeFile(join(dir, "ca.pem"), ca.certPem);
  await writeFile(join(dir, "leaf.key"), leaf.keyPem, { mode: 0o600 });
  await writeFile(join(dir, "leaf.pem"), leaf.chainPem);
  const file = "peers/node-http2.ts";
  const inbound = await keep(
    startChild<{ port: number }>(file, ["server", String(appPort), dir], PROXY_CORE),
  );
  const target = String(inbound.ports.port);
  const outbound = await keep(startChild<{ port: number }>(file, ["client", target, dir], PROXY_CORE));
  return {
    port: outbound.ports.port,
    proxies: { "outbound half": outbound.pid, "inbound half": inbound.pid },
  };
}

async function keep<T>(starting: Promise<Child<T>>): Promise<Child<T>> {
  const child = await starting;
  children.push(child);
  return child;
}

function save(results: object): void {
  const date = new Date().toISOString();
  const machine = {
    cores: cpus().length,
    model: cpus()[0]?.model ?? "",
    node: process.version,
    pinned: canPin(),
  };
  const file = new URL(`results/${date.slice(0, 19).replaceAll(":", "-")}.json`, import.meta.url);
  mkdirSync(new URL("results/", import.meta.url), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ date, machine, seconds, rounds, ...results }, undefined, 2)}\n`);
  console.log(`Written to bench/results/${file.pathname.split("/").at(-1) ?? ""}`);
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) {
    console.error(`${flag}: found "${text}", expected a number above 0`);
    process.exit(64);
  }
  return value;
}
