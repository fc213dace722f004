import type { SocketAddr } from "../../src/addr/socket-addr.ts";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import type { ProxyError } from "../../src/errors/proxy-error.ts";
import type { ByteHandler, Transport } from "../../src/transport/transport.ts";

/** How a pair of memory transports behaves; everything is optional. */
export interface MemoryPairOptions {
  /** Size of the next piece in which waiting bytes are delivered; default: all of them at once, at most 64 KiB. */
  readonly split?: (waiting: number) => number;
  /** Waiting bytes above which an end is `blocked`; it drains at half of that. Default 64 KiB. */
  readonly blockAt?: number;
}

/**
 * Two transports joined by memory, without sockets, timers or turns of the event loop: bytes move when `settle` is
 * called. The buffer that bytes are delivered in is overwritten after each delivery, so that a range kept beyond its call shows.
 */
export class MemoryPair {
  readonly left: MemoryTransport;
  readonly right: MemoryTransport;

  constructor(options: MemoryPairOptions = {}) {
    this.left = new MemoryTransport("192.0.2.1:1000", "192.0.2.2:2000", options);
    this.right = new MemoryTransport("192.0.2.2:2000", "192.0.2.1:1000", options);
    this.left.join(this.right);
    this.right.join(this.left);
  }

  /** Delivers until nothing moves any more. Throws if that never happens. */
  settle(): void {
    for (let turns = 0; turns < 5_000_000; turns++) {
      const moved = this.left.step();
      if (!this.right.step() && !moved) return;
    }
    throw new Error("the two ends never come to rest");
  }
}

const POISON = 0xdb;
const BLOCK_AT = 64 * 1024;
const PIECE_MAX = 64 * 1024;

export class MemoryTransport implements Transport {
  readonly localAddr: SocketAddr;
  readonly peerAddr: SocketAddr;
  buffer: Buffer = Buffer.alloc(0);
  blocked = false;
  destroyed = false;
  /** Stops taking bytes from the other end, as a process does that does not read its socket. */
  stalled = false;
  paused = false;
  /** Bytes given to `commit` and `write` so far. */
  bytesWritten = 0;
  /** The largest number of bytes that waited. */
  mostWaiting = 0;
  /** Whether `reset` was called. */
  wasReset = false;

  readonly #split: (waiting: number) => number;
  readonly #blockAt: number;
  #handler: ByteHandler | undefined;
  #other: MemoryTransport | undefined;
  #reserved = 0;
  #filled = 0;
  #waiting: Buffer = Buffer.alloc(0);
  #ended = false;
  #endDelivered = false;
  #closeError: ProxyError | undefined;
  #closeDelivered = false;

  constructor(local: string, peer: string, options: MemoryPairOptions) {
    this.localAddr = addr(local);
    this.peerAddr = addr(peer);
    this.#split = options.split ?? ((waiting) => waiting);
    this.#blockAt = options.blockAt ?? BLOCK_AT;
  }

  join(other: MemoryTransport): void {
    this.#other = other;
  }

  get waitingBytes(): number {
    return this.#waiting.length;
  }

  /** Whether our direction was finished. */
  get ended(): boolean {
    return this.#ended;
  }

  attach(handler: ByteHandler): void {
    this.#handler = handler;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  reserve(size: number): number {
    // A new buffer each time: who writes into an old one writes into nothing.
    this.buffer = Buffer.alloc(size, POISON);
    this.#reserved = size;
    this.#filled = 0;
    return 0;
  }

  commit(offset: number): void {
    if (offset > this.#reserved || offset < this.#filled) {
      throw new RangeError(`commit(${offset}) after reserve(${this.#reserved})`);
    }
    this.#append(this.buffer.subarray(this.#filled, offset));
    this.#filled = offset;
  }

  write(buffer: Buffer, start: number, end: number): void {
    this.#append(buffer.subarray(start, end));
  }

  writeLatin1(text: string): void {
    this.#append(Buffer.from(text, "latin1"));
  }

  flush(): void {}

  end(): void {
    this.#ended = true;
  }

  destroy(error?: ProxyError): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#closeError = error;
    this.#waiting = Buffer.alloc(0);
  }

  reset(): void {
    this.wasReset = true;
    this.destroy();
  }

  /** Moves one piece to the other end, or tells an end or a close; false if there was nothing to do. */
  step(): boolean {
    const other = this.#other;
    if (other === undefined) return false;
    let moved = false;
    if (this.#waiting.length > 0 && !other.paused && !other.stalled) {
      const size = Math.min(PIECE_MAX, this.#waiting.length, Math.max(1, this.#split(this.#waiting.length)));
      const piece = Buffer.concat([
        Buffer.from("before"),
        this.#waiting.subarray(0, size),
        Buffer.from("behind"),
      ]);
      this.#waiting = this.#waiting.subarray(size);
      if (!other.destroyed) other.#handler?.onBytes(piece, 6, 6 + size);
      piece.fill(POISON);
      moved = true;
      if (this.blocked && this.#waiting.length <= this.#blockAt / 2) {
        this.blocked = false;
        if (!this.destroyed && !this.#ended) this.#handler?.onDrain();
      }
    } else if (
      this.#ended &&
      this.#waiting.length === 0 &&
      !this.#endDelivered &&
      !other.paused &&
      !other.stalled
    ) {
      this.#endDelivered = true;
      if (!other.destroyed) other.#handler?.onEnd();
      moved = true;
    }
    const gone =
      this.destroyed ||
      (this.#endDelivered && other.#endDelivered) ||
      (other.destroyed && other.#waiting.length === 0);
    if (gone && !this.#closeDelivered) {
      this.#closeDelivered = true;
      this.destroyed = true;
      this.#handler?.onClose(this.#closeError);
      moved = true;
    }
    return moved;
  }

  #append(bytes: Buffer): void {
    if (this.#ended || this.destroyed) return;
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    this.bytesWritten += bytes.length;
    this.mostWaiting = Math.max(this.mostWaiting, this.#waiting.length);
    if (this.#waiting.length > this.#blockAt) this.blocked = true;
  }
}

function addr(text: string): SocketAddr {
  const result = parseSocketAddr(text);
  if (!result.ok) throw new Error(result.problem);
  return result.value;
}
