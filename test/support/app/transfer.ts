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

/** How content is written; without it, as fast as the other side takes it, in large pieces. */
export interface Writing {
  /** Most bytes a second; Infinity is no limit. */
  readonly bytesPerSecond: number;
  /** Most bytes of one write, and of one gRPC message. */
  readonly pieceBytes: number;
}

const FREE_WRITING: Writing = { bytesPerSecond: Infinity, pieceBytes: Infinity };

let lastId = 0;

/** A reader that is ahead of its rate by less than this reads on: short pauses would let nothing queue up. */
const PAUSE_MIN_MS = 20;

/** A writer that has written nothing for so long is held back. */
const HELD_BACK_MS = 250;

/** One transfer as its writer and its reader see it, who are both of this process. */
export class Transfer {
  /** Tells the application which of many this is. */
  readonly id = String(++lastId);
  readonly bytes: number;
  readonly reading: Reading;
  readonly writing: Writing;
  /** Where its content begins: contents with different starts differ everywhere. */
  readonly start: number;
  /** What the writer could write so far. */
  written = 0;
  /** What the writer could write before a stalled reader began. */
  writtenAhead = 0;
  /** What has arrived so far, unchanged. */
  arrived = 0;
  /** Why its reader or writer failed, on whichever side; undefined while all is well. */
  problem: string | undefined = undefined;

  constructor(bytes: number, reading: Reading, writing: Writing = FREE_WRITING, start = 0) {
    this.bytes = bytes;
    this.reading = reading;
    this.writing = writing;
    this.start = start;
  }

  /** Writes all of it, at its pace or slower if the other side is slower; the caller ends the stream. */
  async write(stream: Writable): Promise<void> {
    // A stream that fails while it waits for room never drains.
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    const fail = (error?: Error): void => failed.reject(error ?? new Error("closed before all was written"));
    stream.once("error", fail);
    stream.once("close", fail);
    const startedAtMs = performance.now();
    try {
      for (const piece of this.#pieces()) {
        const hasRoom = stream.write(piece);
        this.written += piece.length;
        if (!hasRoom) await Promise.race([once(stream, "drain"), failed.promise]);
        await keepPace(this.written, this.writing.bytesPerSecond, startedAtMs);
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
    const check = new ContentCheck(this.start);
    const startedAtMs = performance.now();
    for await (const piece of stream.iterator({ destroyOnReturn: false })) {
      // One piece first: grpc-js keeps whatever comes before the first read.
      if (reading.kind === "stalled" && check.bytes === 0) await this.#writerHeldBack();
      this.#accept(check, piece as Buffer);
      if (reading.kind === "slow") await keepPace(check.bytes, reading.bytesPerSecond, startedAtMs);
    }
    return check.bytes;
  }

  *#pieces(): Generator<Buffer> {
    const { pieceBytes } = this.writing;
    for (const block of content(this.bytes, this.start))
      for (let at = 0; at < block.length; at += pieceBytes) yield block.subarray(at, at + pieceBytes);
  }

  #accept(check: ContentCheck, piece: Buffer): void {
    try {
      check.accept(piece);
      this.arrived = check.bytes;
    } catch (error) {
      this.problem ??= (error as Error).message;
      throw error;
    }
  }

  async #writerHeldBack(): Promise<void> {
    do {
      this.writtenAhead = this.written;
      await pause(HELD_BACK_MS);
    } while (this.written > this.writtenAhead);
  }
}

async function keepPace(bytes: number, bytesPerSecond: number, startedAtMs: number): Promise<void> {
  const aheadMs = (bytes / bytesPerSecond) * 1000 - (performance.now() - startedAtMs);
  if (aheadMs > PAUSE_MIN_MS) await pause(aheadMs);
}
