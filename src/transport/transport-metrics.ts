import { errnoOf } from "../errors/from-node.ts";
import type { Families } from "../metrics/families.ts";
import { closeLabels } from "../metrics/labels.ts";
import type { Counter, Gauge, Labels } from "../metrics/registry.ts";
import type { SocketTransport } from "./socket-transport.ts";
import { whenClosed } from "./when-closed.ts";

/**
 * Counts connections: `tcp_open_total`, `tcp_open_connections`, `tcp_{read,write}_bytes_total`, `tcp_close_total`.
 *
 * Transports count their own bytes; the sums are brought up to date when somebody reads them (`refresh`) and when a
 * connection closes, so that counting costs nothing per byte.
 */
export class TransportMetrics {
  readonly #families: Families;
  readonly #live = new Set<Tracked>();

  constructor(families: Families) {
    this.#families = families;
  }

  /**
   * Counts a connection from now until it closes.
   *
   * @param also further counters for its bytes.
   */
  track(transport: SocketTransport, labels: Labels, also?: ByteCounters): void {
    const families = this.#families;
    const tracked = new Tracked(
      transport,
      families.tcpReadBytesTotal.cell(labels),
      families.tcpWriteBytesTotal.cell(labels),
      also,
    );
    this.#live.add(tracked);
    families.tcpOpenTotal.cell(labels).value++;
    const open: Gauge = families.tcpOpenConnections.cell(labels);
    open.value++;
    let errno = "";
    transport.socket.once("error", (error) => (errno = errnoOf(error)));
    whenClosed(transport.socket, () => {
      this.#live.delete(tracked);
      tracked.refresh();
      open.value--;
      const closed = closeLabels(labels, errno);
      families.tcpCloseTotal.cell(closed).value++;
      families.tcpCloseTotal.release(closed);
      families.tcpOpenTotal.release(labels);
      families.tcpOpenConnections.release(labels);
      families.tcpReadBytesTotal.release(labels);
      families.tcpWriteBytesTotal.release(labels);
    });
  }

  /** Brings the byte counts of open connections up to date: before a scrape. */
  refresh(): void {
    for (const tracked of this.#live) tracked.refresh();
  }
}

/** Counters of the bytes of several connections. */
export interface ByteCounters {
  readonly read: Counter;
  readonly written: Counter;
}

class Tracked {
  readonly #transport: SocketTransport;
  readonly #read: Counter;
  readonly #written: Counter;
  readonly #also: ByteCounters | undefined;
  #readBefore = 0;
  #writtenBefore = 0;

  constructor(transport: SocketTransport, read: Counter, written: Counter, also: ByteCounters | undefined) {
    this.#transport = transport;
    this.#read = read;
    this.#written = written;
    this.#also = also;
  }

  refresh(): void {
    const { bytesRead, bytesWritten } = this.#transport;
    const read = bytesRead - this.#readBefore;
    const written = bytesWritten - this.#writtenBefore;
    this.#read.value += read;
    this.#written.value += written;
    if (this.#also !== undefined) {
      this.#also.read.value += read;
      this.#also.written.value += written;
    }
    this.#readBefore = bytesRead;
    this.#writtenBefore = bytesWritten;
  }
}
