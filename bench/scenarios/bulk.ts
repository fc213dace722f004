import { TRANSFERS, type TransferProtocol } from "../../test/support/app/transfers.ts";
import { Pair } from "../../test/support/app/pair.ts";
import { forgetPeak, memoryMiB } from "../../test/support/process-memory.ts";

/** The reader's speed as a part of the writer's. */
const SLOWNESS = 10;

/** What the writer's speed is measured with: as much as is transferred slowly, but not more than takes a second or so. */
const FAST_MAX_BYTES = 32 << 20;

export interface BulkTransfer {
  readonly protocol: TransferProtocol;
  readonly direction: "upload" | "download";
  /** How much arrived unchanged. */
  readonly bytes: number;
  /** Of a reader that reads at once, in MiB a second: the writer's own speed through the pair. */
  readonly fastMiBPerSecond: number;
  /** Of the reader that is held back. */
  readonly slowMiBPerSecond: number;
  /** Most memory of each proxy during the slow transfer above what it had when idle, before the first transfer, in MiB. */
  readonly growthMiB: { readonly outbound: number; readonly inbound: number };
}

/**
 * Moves content both ways over each protocol through a pair of proxies, first as fast as it goes, then to a reader ten
 * times slower than that: a proxy that does not hold the writer back would have to keep the difference.
 *
 * @param onTransfer told of each transfer when it is done.
 * @throws Error if a byte is lost, added or changed.
 */
export async function bulk(
  bytes: number,
  onTransfer: (transfer: BulkTransfer) => void,
): Promise<readonly BulkTransfer[]> {
  const pair = await Pair.start();
  try {
    const { application, client, server } = pair;
    const proxies = { outbound: client.sidecar.pid, inbound: server.pid };
    // Code that is loaded when it is first needed is no growth.
    await pair.callAll();
    const idle = { outbound: memoryMiB(proxies.outbound).now, inbound: memoryMiB(proxies.inbound).now };
    const done: BulkTransfer[] = [];
    for (const [protocol, transfers] of TRANSFERS) {
      for (const direction of ["upload", "download"] as const) {
        const move = async (count: number, rate: number | undefined): Promise<number> => {
          application.readRate = rate;
          const startedAtMs = performance.now();
          const arrived =
            direction === "upload"
              ? await transfers.upload(client.ports, count)
              : await transfers.download(client.ports, count, rate);
          const name = `${protocol} ${direction}`;
          if (arrived !== count) {
            throw new Error(
              `${name}: ${arrived} of ${count} bytes arrived; ${application.problems.join("; ")}`,
            );
          }
          return count / ((performance.now() - startedAtMs) / 1000);
        };
        const fast = await move(Math.min(bytes, FAST_MAX_BYTES), undefined);
        for (const pid of Object.values(proxies)) forgetPeak(pid);
        const slow = await move(bytes, fast / SLOWNESS);
        const transfer = {
          protocol,
          direction,
          bytes,
          fastMiBPerSecond: fast / MIB,
          slowMiBPerSecond: slow / MIB,
          growthMiB: {
            outbound: memoryMiB(proxies.outbound).peak - idle.outbound,
            inbound: memoryMiB(proxies.inbound).peak - idle.inbound,
          },
        };
        done.push(transfer);
        onTransfer(transfer);
      }
    }
    return done;
  } finally {
    await pair.close();
  }
}

const MIB = 1 << 20;
