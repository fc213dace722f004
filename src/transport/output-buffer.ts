import { poisonFreed } from "./poison.ts";

/** Size of a pooled output buffer: two TLS records, and more than one turn of a busy connection writes (bench: one write per turn). */
export const OUTPUT_BUFFER_BYTES = 32 * 1024;

/** Buffers kept for reuse by all connections together: 2 MiB. More than that are left to the garbage collector. */
const POOLED_BUFFERS = 64;

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
    if (this.bytes.length === OUTPUT_BUFFER_BYTES && pool.length < POOLED_BUFFERS) pool.push(this);
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

const pool: OutputBuffer[] = [];

/** A buffer with room for `size` bytes, `filling` for `owner`: pooled if it fits one, else made to measure. */
export function takeOutputBuffer(size: number, owner: BufferOwner): OutputBuffer {
  const buffer =
    size > OUTPUT_BUFFER_BYTES
      ? new OutputBuffer(size)
      : (pool.pop() ?? new OutputBuffer(OUTPUT_BUFFER_BYTES));
  buffer.take(owner);
  return buffer;
}

/** How many buffers wait for reuse. */
export function pooledOutputBuffers(): number {
  return pool.length;
}
