import { AGAIN, BROKEN, close, receive, send } from "./kernel.ts";
import type { Pollable, Poller } from "./poller.ts";

const READ_BYTES = 256 * 1024;
const shared = Buffer.allocUnsafeSlow(READ_BYTES);

/** Output that waits for one connection; a body's producer asks `full` before it goes on. */
const OUTPUT_BYTES = 256 * 1024;
/** Above it a producer waits, so that a head or a control frame always finds room. */
const OUTPUT_FULL_BYTES = 128 * 1024;

/** Buffers without an owner: of ten thousand connections few have something to send at a time. */
const spare: Buffer[] = [];

/** A connection of the load process: bytes in, one buffer out, sent once per event. */
export abstract class Connection implements Pollable {
  readonly fd: number;
  closed = false;
  /** Of `output`, not sent yet. */
  protected length = 0;
  #output: Buffer | undefined = undefined;
  readonly #poller: Poller;
  #awaitsWritable = false;
  /** Bytes of a head or frame whose rest has not come. */
  #rest: Buffer | undefined = undefined;

  constructor(poller: Poller, fd: number) {
    this.fd = fd;
    this.#poller = poller;
    poller.add(this);
  }

  /** @returns how many bytes were used; the others come again, with more behind them. */
  protected abstract consume(buffer: Buffer, start: number, end: number): number;
  /** The output went out: a body may go on. Called after each event. */
  protected abstract produce(): void;
  /** The peer closed, or what it sent makes no sense. */
  protected abstract onGone(): void;

  onReadable(): void {
    const length = receive(this.fd, shared);
    if (length === AGAIN) return;
    if (length === 0 || length === BROKEN) {
      this.close();
      this.onGone();
      return;
    }
    let buffer = shared;
    let end = length;
    if (this.#rest !== undefined) {
      buffer = Buffer.concat([this.#rest, shared.subarray(0, length)]);
      end = buffer.length;
      this.#rest = undefined;
    }
    const used = this.consume(buffer, 0, end);
    if (this.closed) return;
    if (used < end) this.#rest = Buffer.from(buffer.subarray(used, end));
    this.pump();
  }

  onWritable(): void {
    this.pump();
  }

  /** Sends what is gathered and lets bodies go on, until the kernel takes no more. */
  pump(): void {
    do {
      this.produce();
      if (this.length === 0) break;
      const sent = send(this.fd, this.output, this.length);
      if (sent === BROKEN) {
        this.close();
        this.onGone();
        return;
      }
      if (sent > 0) {
        this.output.copyWithin(0, sent, this.length);
        this.length -= sent;
      }
    } while (this.length === 0 && !this.closed);
    const waits = this.length > 0;
    if (!waits) this.#releaseOutput();
    if (waits === this.#awaitsWritable || this.closed) return;
    this.#awaitsWritable = waits;
    this.#poller.awaitWritable(this, waits);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#poller.remove(this);
    close(this.fd);
    this.length = 0;
    this.#releaseOutput();
  }

  /** Its own from the first byte that is written to the last that is sent. */
  protected get output(): Buffer {
    return (this.#output ??= spare.pop() ?? Buffer.allocUnsafeSlow(OUTPUT_BYTES));
  }

  #releaseOutput(): void {
    if (this.#output === undefined) return;
    spare.push(this.#output);
    this.#output = undefined;
  }

  protected get full(): boolean {
    return this.length >= OUTPUT_FULL_BYTES;
  }

  /** @throws Error if a caller went on though the output was full. */
  protected room(bytes: number): void {
    if (this.length + bytes > OUTPUT_BYTES) throw new Error("more output than a load connection holds");
  }
}

/** What bodies are made of. */
export const BODY: Buffer = Buffer.alloc(64 * 1024, "x");
