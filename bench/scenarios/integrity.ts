import { setTimeout as pause } from "node:timers/promises";
import { SharedConnections, OWN_CONNECTIONS } from "../../test/support/app/connections.ts";
import { Transfer } from "../../test/support/app/transfer.ts";
import { TRANSFERS } from "../../test/support/app/transfers.ts";
import { TwoPaths } from "../../test/support/app/two-paths.ts";
import { describeExchange, exchangeOf, KINDS, type Exchange } from "./integrity-plan.ts";

export interface IntegrityOptions {
  /** How long new exchanges begin; at least the first of each kind do. Those under way are waited for. */
  readonly seconds: number;
  /** Exchanges at once. */
  readonly concurrency: number;
  /** The largest body. */
  readonly maxBytes: number;
  /** Decides about every exchange. */
  readonly seed: number;
}

/** Exchanges of one protocol on one path. */
export interface IntegrityTally {
  readonly exchanges: Readonly<Record<Exchange["direction"], number>>;
  /** That arrived unchanged. An echo's count once, though they went both ways. */
  readonly bytes: number;
  readonly failures: number;
}

export interface IntegrityResult {
  /** By `PROTOCOL over PATH`. */
  readonly tallies: ReadonlyMap<string, IntegrityTally>;
  /** Each names an exchange, and the place of its first wrong byte or how it failed. */
  readonly failures: readonly string[];
  readonly seconds: number;
}

/**
 * An exchange of which neither side could move a byte for so long hangs. Slow ones pause for a second or two; but those that
 * share a connection wait for each other where its window is full, on a busy machine for a quarter of a minute.
 */
const HANG_MS = 60_000;

const LOOK_MS = 500;

/** No exchange begins after so many failures: the first ones tell what is wrong. */
const FAILURES_MAX = 20;

/** Tells the proxies to overwrite what they free. */
const DEBUG = { OUTRIGGER_DEBUG_BUFFERS: "true" };

/**
 * Sends bodies of every size both ways over every protocol, in mutual TLS and clear text, many at once, at every pace, and
 * compares each byte with what was sent. The proxies poison the buffers they free: one that is still used, or used
 * twice, shows as a wrong byte.
 */
export async function integrity(options: IntegrityOptions): Promise<IntegrityResult> {
  const { seconds, concurrency, maxBytes, seed } = options;
  const paths = await TwoPaths.start(DEBUG);
  const shared = new SharedConnections();
  try {
    const failures: string[] = [];
    const tallies = new Map<string, Tally>();
    const startedAtMs = performance.now();
    const elapsedSeconds = (): number => (performance.now() - startedAtMs) / 1000;
    let next = 0;
    const worker = async (): Promise<void> => {
      while (failures.length < FAILURES_MAX && (next < KINDS.length || elapsedSeconds() < seconds)) {
        const n = next++;
        const exchange = exchangeOf(seed, n, maxBytes);
        const connections = exchange.shared ? shared : OWN_CONNECTIONS;
        const problem = await run(paths, exchange, connections);
        const key = `${exchange.protocol} over ${exchange.path}`;
        const tally = tallies.get(key) ?? new Tally();
        tallies.set(key, tally);
        tally.count(exchange, problem);
        if (problem !== undefined) failures.push(`exchange ${n}: ${describeExchange(exchange)}: ${problem}`);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    // Why the application gave up: what the other end saw may be no more than an end that came too early.
    failures.push(...paths.application.problems.map((problem) => `application: ${problem}`));
    for (const name of ["client", "web"]) failures.push(...problemsInLog(name, await paths.mesh.log(name)));
    return { tallies, failures, seconds: elapsedSeconds() };
  } finally {
    shared.close();
    await paths.close();
  }
}

class Tally implements IntegrityTally {
  readonly exchanges = { upload: 0, download: 0, echo: 0 };
  bytes = 0;
  failures = 0;

  count({ direction, bytes }: Exchange, problem: string | undefined): void {
    this.exchanges[direction]++;
    if (problem === undefined) this.bytes += bytes;
    else this.failures++;
  }
}

/** @returns what went wrong. */
async function run(
  { application, ports }: TwoPaths,
  { protocol, direction, path, bytes, reading, writing, start }: Exchange,
  connections: SharedConnections | typeof OWN_CONNECTIONS,
): Promise<string | undefined> {
  const transfer = new Transfer(bytes, reading, writing, start);
  if (direction !== "echo") application.expect(transfer);
  const over = new AbortController();
  try {
    const arrived = await Promise.race([
      TRANSFERS.get(protocol)?.[direction](ports[path], transfer, connections),
      hanging(transfer, over.signal),
    ]);
    return arrived === bytes ? undefined : `${arrived} of ${bytes} bytes arrived`;
  } catch (error) {
    // What the reader found is the cause of what its peer was told.
    return (
      transfer.problem ?? `${String(error)}, ${transfer.written} bytes written, ${transfer.arrived} arrived`
    );
  } finally {
    over.abort();
  }
}

/** @throws Error if the transfer hangs, or an AbortError when it is over. */
async function hanging(transfer: Transfer, over: AbortSignal): Promise<never> {
  let moved = -1;
  for (let stillMs = 0; stillMs < HANG_MS; stillMs += LOOK_MS) {
    const now = transfer.written + transfer.arrived;
    if (now !== moved) stillMs = 0;
    moved = now;
    // Aborted when the race is decided, and then nobody looks any more.
    await pause(LOOK_MS, undefined, { signal: over });
  }
  throw new Error(`nothing moved for ${HANG_MS} ms`);
}

/** A broken invariant ends a connection and is logged as an error. Also finds out a proxy that does not poison. */
function problemsInLog(name: string, log: string): readonly string[] {
  const problems = log.split("\n").filter((line) => line.includes("ERROR"));
  if (!log.includes("OUTRIGGER_DEBUG_BUFFERS is set")) problems.push("freed buffers were not poisoned");
  return problems.map((problem) => `proxy ${name}: ${problem}`);
}
