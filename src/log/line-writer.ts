import type { Writable } from "node:stream";
import type { Clock } from "../time/clock.ts";

/** Lines that wait for their reader; what comes on top is dropped. */
export const LINES_WAITING_BYTES_MAX = 1024 * 1024;
/** A batch is given to the stream at once when it is this long, else after a moment. */
const BATCH_CHARACTERS = 16 * 1024;
const BATCH_MS = 1;
/** How often lost lines are told of. */
const TELL_INTERVAL_MS = 60_000;

export interface LineWriterOptions {
  readonly clock: Clock;
  /** Counts lines that are lost. */
  readonly onDropped: (lines: number) => void;
  /** Tells, at most once a minute, that lines were lost, and how many since the last time. */
  readonly onLoss: (lines: number, reason: string) => void;
}

/**
 * Writes lines to a stream whose reader may be slow or gone, and that is nobody's fault but the reader's: nothing waits,
 * nothing fails, and memory stays bounded. Lines that do not fit are dropped whole, and counted.
 *
 * For `process.stderr`: a pipe there does not block the process, and its errors come as events.
 */
export class LineWriter {
  readonly #stream: Writable;
  readonly #options: LineWriterOptions;
  #batch = "";
  #batchLines = 0;
  #flushDue = false;
  /** Nobody reads any more, nor ever will. */
  #gone: string | undefined = undefined;
  #lost = 0;
  #toldAtMs = -Infinity;

  constructor(stream: Writable, options: LineWriterOptions) {
    this.#stream = stream;
    this.#options = options;
    // Each failed write tells of itself; without a listener the event would end the process.
    stream.on("error", () => {});
  }

  /** @param line with its line end; ASCII, so that its length is its size. */
  readonly write = (line: string): void => {
    if (this.#gone !== undefined) return this.#lose(1, this.#gone);
    const waiting = this.#stream.writableLength + this.#batch.length;
    if (waiting + line.length > LINES_WAITING_BYTES_MAX) return this.#lose(1, "its reader is too slow");
    this.#batch += line;
    this.#batchLines++;
    if (this.#batch.length >= BATCH_CHARACTERS) return this.flush();
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#options.clock.after(BATCH_MS, this.#onTimer);
  };

  /** Gives what has gathered to the stream: before the process ends. */
  flush(): void {
    if (this.#batch === "") return;
    const batch = this.#batch;
    const lines = this.#batchLines;
    this.#batch = "";
    this.#batchLines = 0;
    this.#stream.write(batch, (error: NodeJS.ErrnoException | null | undefined) => {
      if (error == null) return;
      if (error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED") this.#gone = error.message;
      this.#lose(lines, error.message);
    });
  }

  readonly #onTimer = (): void => {
    this.#flushDue = false;
    this.flush();
  };

  #lose(lines: number, reason: string): void {
    const { clock, onDropped, onLoss } = this.#options;
    onDropped(lines);
    this.#lost += lines;
    const nowMs = clock.nowMs();
    if (nowMs - this.#toldAtMs < TELL_INTERVAL_MS) return;
    this.#toldAtMs = nowMs;
    onLoss(this.#lost, reason);
    this.#lost = 0;
  }
}
