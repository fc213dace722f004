import type { Reading, Writing } from "../../test/support/app/transfer.ts";
import { TRANSFERS, type TransferProtocol } from "../../test/support/app/transfers.ts";
import type { Path } from "../../test/support/app/two-paths.ts";
import { seeded } from "../../test/support/chance.ts";

export type Direction = "upload" | "download" | "echo";

/** One of the many exchanges of the integrity scenario. */
export interface Exchange {
  readonly protocol: TransferProtocol;
  readonly direction: Direction;
  readonly path: Path;
  readonly bytes: number;
  readonly reading: Reading;
  readonly writing: Writing;
  /** Where its content begins: no two exchanges have the same bytes at the same place, so mixed up ones are found. */
  readonly start: number;
  /** On a connection that many exchanges use at once, if the protocol has such. */
  readonly shared: boolean;
}

const DIRECTIONS: readonly Direction[] = ["upload", "download", "echo"];
const PATHS: readonly Path[] = ["mTLS", "clear text"];

/** Every protocol in every direction on every path. */
export const KINDS = [...TRANSFERS.keys()].flatMap((protocol) =>
  DIRECTIONS.flatMap((direction) => PATHS.map((path) => ({ protocol, direction, path }))),
);

/** Around the sizes of HTTP/2 frames and TLS records, of output buffers, and of default windows and reads. */
const EDGES = [16, 32, 64].flatMap((kib) => [kib * 1024 - 1, kib * 1024, kib * 1024 + 1]);

const PIECES = [1, 100, 1_000, 4_096, 16_385, 65_536];

/** Writes of one body at most: a large body in single bytes would keep us busy rather than the proxies. */
const WRITES_MAX = 4_096;

/** Most time that a slow reader or writer takes for itself. */
const SLOW_MAX_SECONDS = 3;

/**
 * Exchange `n` of a run: the same for the same seed, whatever happened before it. The first of each kind has the largest
 * body; after those, sizes are even on a logarithmic scale (at 64 MiB, 3.7 MiB on average), and one in ten is an edge.
 */
export function exchangeOf(seed: number, n: number, maxBytes: number): Exchange {
  const random = seeded(Math.imul(seed, 0x9e3779b1) ^ Math.imul(n + 1, 0x85ebca6b));
  const pick = <T>(choices: readonly T[], otherwise: T): T =>
    choices[Math.floor(random() * choices.length)] ?? otherwise;
  const kind = KINDS[n % KINDS.length];
  if (kind === undefined) throw new Error(`exchange ${n}: not a whole number from 0`);
  const logarithmic = Math.ceil(maxBytes ** random());
  const ordinary = random() < 0.1 ? Math.min(pick(EDGES, 1), maxBytes) : logarithmic;
  const bytes = n < KINDS.length ? maxBytes : ordinary;
  const slowRate = (): number => bytes / (random() * SLOW_MAX_SECONDS);
  const pace = random();
  const pieces = PIECES.filter((piece) => bytes / piece <= WRITES_MAX);
  return {
    ...kind,
    bytes,
    reading:
      pace < 0.25 ? { kind: "slow", bytesPerSecond: slowRate() } : { kind: pace < 0.35 ? "stalled" : "free" },
    writing: {
      bytesPerSecond: random() < 0.25 ? slowRate() : Infinity,
      pieceBytes: pick(pieces, Infinity),
    },
    start: Math.floor(random() * 2 ** 32),
    shared: random() < 0.5,
  };
}

/** What a failure is about, in one line. */
export function describeExchange({ protocol, direction, path, ...exchange }: Exchange): string {
  const writer = exchange.writing.bytesPerSecond === Infinity ? "free" : "slow";
  return (
    `${protocol} ${direction} over ${path}, ${exchange.bytes} bytes in pieces of ${exchange.writing.pieceBytes}, ` +
    `${writer} writer, ${exchange.reading.kind} reader, ${exchange.shared ? "shared" : "own"} connection`
  );
}
