import { poisonFreed } from "./poison.ts";

/** Size of a small output buffer: more than one message of most connections. */
export const SMALL_OUTPUT_BYTES = 4 * 1024;

/** Size of a large one: two TLS records, and more than one turn of a busy connection writes. */
export const OUTPUT_BUFFER_BYTES = 32 * 1024;

/**
 * Buffers kept for reuse by all connections together, 2 MiB of each size. All connections that write in one turn need one
 * each at once; what is more than these is left to the garbage collector, whose full collections then take 10 ms every
 * other second (bench: pair-http2, with 64 large ones and no small ones).
 */
const POOLED_SMALL = 512;
const POOLED_LARGE = 64;

/** Whom a buffer reports to when the last write that used it is done. */
export interface BufferOwner {
  onWritten(buffer: OutputBuffer): void;
}

/**
 * A piece of output with an explicit owner and state.
 *
 * - `free`: in the pool, or about to be collected. Nobody may touch the bytes.
 * - `filling`: a connection appends to it. The socket holds no reference that it will still read.
 * - `in_flight`: handed to the socket, whose completion is outstanding. The bytes must not change.
 *
 * Node calls a write's callback in a later tick even when the kernel took the bytes at once. If such a buffer were used
 * again before that callback, it would come in the middle of its next flight and end it: the buffer would be handed out
 * while it is being sent, which corrupts uploads. So callbacks are counted, and a buffer is neither reusable nor back
 * from a flight while one is outstanding.
 */
export class OutputBuffer {
  readonly bytes: Buffer;
  length = 0;
  /** Given to the socket as the write's callback: one function per buffer, made once. */
  readonly written: () => void;
  #state: "free" | "filling" | "in_flight" = "free";
  #pending = 0;
  #owner: BufferOwner | undefined = undefined;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.written = () => this.#onWritten();
  }

  get state(): "free" | "filling" | "in_flight" {
    return this.#state;
  }

  take(owner: BufferOwner): void {
    this.#expect("free");
    if (this.#pending > 0) throw new Error("an output buffer was taken before its last write was reported");
    this.#state = "filling";
    this.#owner = owner;
    this.length = 0;
  }

  /** Counts a write whose callback will be `written`. Call it just before the write. */
  writing(): void {
    this.#expect("filling");
    this.#pending++;
  }

  /** The socket kept the bytes: from now on they belong to it until every callback came. */
  depart(): void {
    this.#expect("filling");
    this.#state = "in_flight";
  }

  /** Ends this life of the buffer. It is reusable as soon as no callback is outstanding. */
  free(): void {
    if (this.#state === "free") throw new Error("an output buffer was freed twice");
    if (this.#state === "in_flight" && this.#pending > 0)
      throw new Error("an output buffer was freed in flight");
    this.#state = "free";
    this.#owner = undefined;
    poisonFreed(this.bytes);
    if (this.#pending === 0) this.#recycle();
  }

  #recycle(): void {
    const { length } = this.bytes;
    if (length === SMALL_OUTPUT_BYTES && small.length < POOLED_SMALL) small.push(this);
    else if (length === OUTPUT_BUFFER_BYTES && large.length < POOLED_LARGE) large.push(this);
  }

  #onWritten(): void {
    if (this.#pending === 0) throw new Error("an output buffer was reported written too often");
    this.#pending--;
    if (this.#pending > 0) return;
    if (this.#state === "in_flight") this.#owner?.onWritten(this);
    else if (this.#state === "free") this.#recycle();
  }

  #expect(state: "free" | "filling"): void {
    if (this.#state !== state)
      throw new Error(`an output buffer is ${this.#state} where it must be ${state}`);
  }
}

const small: OutputBuffer[] = [];
const large: OutputBuffer[] = [];

/**
 * A buffer with room for `size` bytes, `filling` for `owner`: pooled if it fits one, else made to measure.
 *
 * @param more whether much more is expected than `size`.
 */
export function takeOutputBuffer(size: number, more: boolean, owner: BufferOwner): OutputBuffer {
  let buffer: OutputBuffer;
  if (size > OUTPUT_BUFFER_BYTES) buffer = new OutputBuffer(size);
  else if (more || size > SMALL_OUTPUT_BYTES) buffer = large.pop() ?? new OutputBuffer(OUTPUT_BUFFER_BYTES);
  else buffer = small.pop() ?? new OutputBuffer(SMALL_OUTPUT_BYTES);
  buffer.take(owner);
  return buffer;
}

/** How many buffers wait for reuse. */
export function pooledOutputBuffers(): number {
  return small.length + large.length;
}
