/** Writing and reading content over whatever Node calls a stream: sockets, HTTP/1, HTTP/2 and gRPC alike. */
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { content, ContentCheck } from "./content.ts";

/**
 * - `free`: reads as fast as it can.
 * - `slow`: reads at most so many bytes a second.
 * - `stalled`: reads one piece, waits until the writer could write no more, and then reads freely.
 */
export type Reading =
  | { readonly kind: "free" }
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  | { readonly kind: "stalled" };

/** A reader that is ahead of its rate by less than this reads on: short pauses would let nothing queue up. */
const PAUSE_MIN_MS = 20;

/** A writer that has written nothing for so long is held back. */
const HELD_BACK_MS = 250;

/** One transfer as its writer and its reader see it, who are both of this process. */
export class Transfer {
  readonly bytes: number;
  readonly reading: Reading;
  /** What the writer could write so far. */
  written = 0;
  /** What the writer could write before a stalled reader began. */
  writtenAhead = 0;

  constructor(bytes: number, reading: Reading) {
    this.bytes = bytes;
    this.reading = reading;
  }

  /** Writes all of it as fast as the other side takes it; the caller ends the stream. */
  async write(stream: Writable): Promise<void> {
    // A stream that fails while it waits for room never drains.
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    const fail = (error?: Error): void => failed.reject(error ?? new Error("closed before all was written"));
    stream.once("error", fail);
    stream.once("close", fail);
    try {
      for (const block of content(this.bytes)) {
        const hasRoom = stream.write(block);
        this.written += block.length;
        if (!hasRoom) await Promise.race([once(stream, "drain"), failed.promise]);
      }
    } finally {
      stream.off("error", fail);
      stream.off("close", fail);
    }
  }

  /**
   * Reads to the end and compares.
   *
   * @returns how much there was. The stream stays as it is, so that it can still be written to.
   * @throws Error if a byte is not as it was sent.
   */
  async read(stream: Readable): Promise<number> {
    const { reading } = this;
    const check = new ContentCheck();
    const startedAtMs = performance.now();
    for await (const piece of stream.iterator({ destroyOnReturn: false })) {
      // One piece first: grpc-js keeps whatever comes before the first read.
      if (reading.kind === "stalled" && check.bytes === 0) await this.#writerHeldBack();
      check.accept(piece as Buffer);
      if (reading.kind !== "slow") continue;
      const aheadMs = (check.bytes / reading.bytesPerSecond) * 1000 - (performance.now() - startedAtMs);
      if (aheadMs > PAUSE_MIN_MS) await pause(aheadMs);
    }
    return check.bytes;
  }

  async #writerHeldBack(): Promise<void> {
    do {
      this.writtenAhead = this.written;
      await pause(HELD_BACK_MS);
    } while (this.written > this.writtenAhead);
  }
}
