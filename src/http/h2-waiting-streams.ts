import type { H2Stream } from "./h2-stream.ts";

/** Streams with bytes to send, in the order of their turns. The links are fields of the streams: waiting costs no object. */
export class WaitingStreams {
  first: H2Stream | undefined;
  #last: H2Stream | undefined;

  /** Puts a stream at the end of the line, unless it waits already. */
  add(stream: H2Stream): void {
    if (stream.waiting) return;
    stream.waiting = true;
    if (this.#last === undefined) this.first = stream;
    else this.#last.nextWaiting = stream;
    this.#last = stream;
  }

  /** Takes the first stream out of the line. */
  dropFirst(): void {
    const stream = this.first;
    if (stream === undefined) return;
    this.first = stream.nextWaiting;
    if (this.first === undefined) this.#last = undefined;
    stream.nextWaiting = undefined;
    stream.waiting = false;
  }

  clear(): void {
    this.first = undefined;
    this.#last = undefined;
  }
}
