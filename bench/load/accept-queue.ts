import { existsSync, openSync, readSync } from "node:fs";
import type { Poller } from "./poller.ts";

/** The second is missing where IPv6 is switched off. Kept open, because whoever asks may be short of descriptors. */
const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"]
  .filter((file) => existsSync(file))
  .map((file) => openSync(file, "r"));
/** After so many new connections it is time to wait: below the smallest backlog that listeners commonly ask for, 128. */
export const CONNECT_BATCH = 100;

const LISTENS = "0A";
const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 1;
/** Whoever has not accepted a single connection for so long does not accept. */
const STUCK_MS = 10_000;

/**
 * Waits until the listeners of a port have accepted whoever has connected; our own applications do so meanwhile.
 *
 * To a client a connection stands once it is in the listener's backlog. Whoever opens thousands has to wait for the
 * listener now and then: once a backlog is full, the kernel drops what comes and tries again after a second.
 *
 * @throws Error if the listener has stopped accepting.
 */
export function untilAccepted(poller: Poller, port: number): void {
  let waiting = Infinity;
  let lastProgressMs = performance.now();
  for (;;) {
    const queued = acceptQueue(port);
    if (queued === 0) return;
    const now = performance.now();
    if (queued < waiting) lastProgressMs = now;
    else if (now - lastProgressMs > STUCK_MS) {
      throw new Error(
        `port ${port} does not accept: ${queued} connections wait in its backlog (is it out of files?)`,
      );
    }
    waiting = queued;
    poller.poll(POLL_MS);
  }
}

/** Connections that wait to be accepted, on all addresses of a port. */
function acceptQueue(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const table of TABLES) {
    const queued = queuedIn(table, local);
    if (queued !== undefined) return queued;
  }
  return 0;
}

/**
 * The listeners come first in the table: of ten thousand connections behind them hardly one is read.
 *
 * @returns undefined if nobody listens.
 */
function queuedIn(table: number, local: string): number | undefined {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let queued: number | undefined;
  let rest = "";
  let at = 0;
  for (;;) {
    const bytes = readSync(table, chunk, 0, CHUNK_BYTES, at);
    if (bytes === 0) return queued;
    at += bytes;
    const lines = (rest + chunk.toString("latin1", 0, bytes)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      // sl local_address rem_address st tx_queue:rx_queue (Linux, Documentation/networking/proc_net_tcp.rst)
      const [, address = "", , state, queues = ""] = line.trim().split(/ +/);
      if (state === "st") continue;
      if (state !== LISTENS) return queued;
      if (!address.endsWith(local)) continue;
      queued = (queued ?? 0) + Number.parseInt(queues.split(":")[1] ?? "0", 16);
    }
  }
}
