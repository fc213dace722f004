/** Writing and reading content over whatever Node calls a stream: sockets, HTTP/1, HTTP/2 and gRPC alike. */
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { content, ContentCheck } from "./content.ts";

/** Writes the first `bytes` of the content as fast as the other side takes them; the caller ends the stream. */
export async function writeContent(stream: Writable, bytes: number): Promise<void> {
  // A stream that fails while it waits for room never drains.
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const fail = (error?: Error): void =>
    failed.reject(error ?? new Error("closed before everything was written"));
  stream.once("error", fail);
  stream.once("close", fail);
  try {
    for (const block of content(bytes)) {
      if (!stream.write(block)) await Promise.race([once(stream, "drain"), failed.promise]);
    }
  } finally {
    stream.off("error", fail);
    stream.off("close", fail);
  }
}

/** How fast a reader reads; undefined: as fast as it can. */
export type BytesPerSecond = number | undefined;

/** A reader that is ahead of its rate by less than this reads on: short pauses would let nothing queue up. */
const PAUSE_MIN_MS = 20;

/**
 * Reads content to its end, at most at `rate`, and compares it.
 *
 * @returns its length. The stream stays as it is, so that it can still be written to.
 * @throws Error if a byte is not as it was sent.
 */
export async function readContent(stream: Readable, rate: BytesPerSecond): Promise<number> {
  const check = new ContentCheck();
  const startedAtMs = performance.now();
  for await (const piece of stream.iterator({ destroyOnReturn: false })) {
    check.accept(piece as Buffer);
    if (rate === undefined) continue;
    const aheadMs = (check.bytes / rate) * 1000 - (performance.now() - startedAtMs);
    if (aheadMs > PAUSE_MIN_MS) await pause(aheadMs);
  }
  return check.bytes;
}
