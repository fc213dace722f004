import { Pair } from "../../test/support/app/pair.ts";
import { Transfer, type Reading } from "../../test/support/app/transfer.ts";
import { TRANSFERS, type TransferProtocol } from "../../test/support/app/transfers.ts";
import { forgetPeak, memoryMiB } from "../../test/support/process-memory.ts";

export interface BulkOptions {
  /** Moved to a slow reader. */
  readonly slowBytes: number;
  /** Moved to a reader that does not begin before the writer is held back. */
  readonly stalledBytes: number;
  /** Which transfers are made; without it, all are. */
  readonly only?: (protocol: TransferProtocol, direction: Direction) => boolean;
}

type Direction = "upload" | "download";

/** One protocol in one direction. */
export interface BulkResult {
  readonly protocol: TransferProtocol;
  readonly direction: Direction;
  /** With a reader that reads at once: the writer's own speed through the pair. */
  readonly fastMiBPerSecond: number;
  readonly slowMiBPerSecond: number;
  /** What the writer could write while nobody read: all that the buffers on the way hold, the kernel's above all. */
  readonly aheadMiB: number;
  /** Most memory of each proxy during all this, above what it had when idle, before the first transfer. */
  readonly growthMiB: { readonly outbound: number; readonly inbound: number };
}

/** The reader's speed as a part of the writer's. */
const SLOWNESS = 10;

/** What the writer's speed is measured with, unless less is moved anyway. */
const FAST_MAX_BYTES = 32 << 20;

const MIB = 1 << 20;

/**
 * Moves content both ways over each protocol through a pair of proxies: as fast as it goes, to a reader ten times slower
 * than that, and to one that does not begin. A proxy that did not hold the writer back would have to keep the difference.
 *
 * @param onResult told of each protocol and direction when it is done.
 * @throws Error if a byte is lost, added or changed.
 */
export async function bulk(
  { slowBytes, stalledBytes, only }: BulkOptions,
  onResult: (result: BulkResult) => void,
): Promise<readonly BulkResult[]> {
  const pair = await Pair.start();
  try {
    const { application, client, server } = pair;
    const outbound = client.sidecar.pid;
    const inbound = server.pid;
    // Code that is loaded when it is first needed is no growth.
    await pair.callAll();
    const idle = { outbound: memoryMiB(outbound).now, inbound: memoryMiB(inbound).now };
    const results: BulkResult[] = [];
    for (const [protocol, transfers] of TRANSFERS) {
      for (const direction of ["upload", "download"] as const) {
        if (only?.(protocol, direction) === false) continue;
        const move = async (bytes: number, reading: Reading) => {
          const transfer = new Transfer(bytes, reading);
          application.expect(transfer);
          const startedAtMs = performance.now();
          const arrived = await transfers[direction](client.ports, transfer);
          if (arrived !== bytes) {
            const problems = application.problems.join("; ");
            throw new Error(`${protocol} ${direction}: ${arrived} of ${bytes} bytes arrived; ${problems}`);
          }
          const bytesPerSecond = bytes / ((performance.now() - startedAtMs) / 1000);
          return { bytesPerSecond, ahead: transfer.writtenAhead };
        };
        for (const pid of [outbound, inbound]) forgetPeak(pid);
        const fast = await move(Math.min(slowBytes, FAST_MAX_BYTES), { kind: "free" });
        const slow = await move(slowBytes, { kind: "slow", bytesPerSecond: fast.bytesPerSecond / SLOWNESS });
        const stalled = await move(stalledBytes, { kind: "stalled" });
        const result = {
          protocol,
          direction,
          fastMiBPerSecond: fast.bytesPerSecond / MIB,
          slowMiBPerSecond: slow.bytesPerSecond / MIB,
          aheadMiB: stalled.ahead / MIB,
          growthMiB: {
            outbound: memoryMiB(outbound).peak - idle.outbound,
            inbound: memoryMiB(inbound).peak - idle.inbound,
          },
        };
        results.push(result);
        onResult(result);
      }
    }
    return results;
  } finally {
    await pair.close();
  }
}
