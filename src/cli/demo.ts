import { parseArgs } from "node:util";
import { sleep, systemClock, wallMs } from "../time/clock.ts";
import type { Answer, RequestName } from "./demo/contract.ts";
import { judge, type RequestResult } from "./demo/judge.ts";
import { CLIENT_ID, Mesh, SERVICE_PORTS } from "./demo/mesh.ts";
import { formatHints, formatJson, formatProblems, formatTable } from "./demo/report.ts";
import { createWorkspace, removeWorkspace, type Workspace } from "./demo/workspace.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit-code.ts";

const HELP = `Usage: outrigger demo [--once] [--json]

Runs a mesh of two small services on this machine: an embedded control plane, two sidecars, a client and a server. The
client sends HTTP/1, HTTP/2, gRPC, WebSocket and raw TCP through both sidecars, and the demo tells for each what protocol
was detected, which identity the server was shown, how the connection was encrypted, and how long it took. Then it stays
up and tells what to try: how to send requests yourself, and how to see them refused by editing a manifest.

  --once   end after the requests: with 0 if all was as it must be, else with 1 after naming what was not
  --json   print the summary as one line of JSON on standard output, and nothing else there
  --help   print this

It needs no root, no cluster and no network but loopback. Its files are in a temporary directory, which is removed at the
end, unless something went wrong: then its path is printed, with the logs of all processes in it.
`;

/** What the far side must see. The group is the hybrid one: safe from whoever records today to decrypt years later. */
const EXPECTED = { clientId: CLIENT_ID, tlsVersion: "TLSv1.3", tlsGroup: "X25519MLKEM768" };

/** How often the client sends while the demo stays up. */
const ROUND_INTERVAL_MS = 1_000;

interface Options {
  readonly once: boolean;
  readonly json: boolean;
}

/** Runs the demo. @returns the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "number") return options;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  // Whoever read our output, such as `head`, has gone: then there is nobody to stay up for.
  process.stdout.on("error", () => stop.abort(new Error("standard output was closed")));
  const workspace = await createWorkspace();
  try {
    const results = await runIn(workspace, options, stop.signal);
    if (results.every(({ ok }) => ok)) {
      await removeWorkspace(workspace);
      return EXIT_OK;
    }
    tell(`Not everything was as it must be:\n${formatProblems(results)}`);
  } catch (error) {
    if (stop.signal.aborted) {
      await removeWorkspace(workspace);
      return EXIT_FAILURE;
    }
    tell(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  }
  tell(`The logs of its processes are in ${workspace.logs}\n`);
  return EXIT_FAILURE;
}

function parseOptions(args: readonly string[]): Options | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        once: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (!values.help) return values;
    process.stdout.write(HELP);
    return EXIT_OK;
  } catch (error) {
    tell(
      `outrigger demo: ${error instanceof Error ? error.message : String(error)}\nTry: outrigger demo --help\n`,
    );
    return EXIT_USAGE;
  }
}

async function runIn(
  workspace: Workspace,
  { once, json }: Options,
  signal: AbortSignal,
): Promise<readonly RequestResult[]> {
  const say = (text: string): void => void (json || process.stdout.write(text));
  say("Starting a control plane, two sidecars and two applications ...\n");
  const mesh = await Mesh.start(workspace, signal, tell);
  try {
    const results = await untilStopped(signal, mesh, () => showTraffic(mesh));
    const staysUp = !once && results.every(({ ok }) => ok);
    if (json)
      process.stdout.write(formatJson(results, staysUp ? { workspace, ports: mesh.ports } : undefined));
    say(`\n${formatTable(results)}`);
    if (staysUp) {
      say(formatHints(workspace, mesh.ports));
      await stayUp(mesh, signal, say);
    }
    return results;
  } finally {
    await mesh.stop();
  }
}

async function showTraffic(mesh: Mesh): Promise<readonly RequestResult[]> {
  const before = await mesh.counts();
  const first = await mesh.round();
  const second = await mesh.round();
  const after = await mesh.counts();
  return judge(
    {
      ...{ first, second, servicePorts: SERVICE_PORTS, serverTcpPort: mesh.ports.server.tcp },
      ...{ clientBefore: before.client, clientAfter: after.client },
      ...{ serverBefore: before.server, serverAfter: after.server },
    },
    EXPECTED,
  );
}

/** Sends on, and tells what changes. Resolves when `signal` aborts. @throws if a process ends by itself. */
async function stayUp(mesh: Mesh, signal: AbortSignal, say: (text: string) => void): Promise<void> {
  const latest = new Map<RequestName, Answer>();
  const rounds = async (): Promise<never> => {
    for (;;) {
      for (const answer of await mesh.round()) {
        const before = latest.get(answer.protocol);
        latest.set(answer.protocol, answer);
        if (before !== undefined && before.status !== answer.status) say(formatChange(before, answer));
      }
      await sleep(systemClock, ROUND_INTERVAL_MS, signal);
    }
  };
  try {
    await untilStopped(signal, mesh, rounds);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function formatChange({ status: before }: Answer, { protocol, status }: Answer): string {
  const time = new Date(wallMs()).toTimeString().slice(0, 8);
  return `  ${time}  ${protocol.padEnd(14)}  ${before} -> ${status}\n`;
}

/** Runs `work` unless `signal` aborts or a process of the mesh ends by itself: then it rejects with that reason. */
async function untilStopped<T>(signal: AbortSignal, mesh: Mesh, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    // The reason is the Error given above.
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true, signal: over.signal });
  });
  try {
    return await Promise.race([work(), stopped, mesh.ended]);
  } finally {
    over.abort();
  }
}

function tell(text: string): void {
  process.stderr.write(text);
}
