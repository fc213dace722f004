import type { Socket } from "node:net";
import {
  SMALL_OUTPUT_BYTES,
  takeOutputBuffer,
  type BufferOwner,
  type OutputBuffer,
} from "./output-buffer.ts";

/** Bytes that may wait for one connection, gathered and in flight, before it is `blocked` (LIM-19). */
export const OUTPUT_BOUND_BYTES = 64 * 1024;

/** A blocked output takes bytes again once no more than this waits. */
const DRAINED_BYTES = OUTPUT_BOUND_BYTES / 2;

/** Below this length a loop copies faster than a call into native code. */
const SHORT_COPY_BYTES = 32;

const NOTHING = Buffer.alloc(0);

/** Whom an output tells about itself. */
export interface OutputOwner {
  /** The output is no longer blocked. */
  onOutputDrained(): void;
  /** An invariant is broken: the connection cannot go on. */
  onOutputBroken(error: unknown): void;
}

/**
 * The gathered output of one connection.
 *
 * Callers write in place (`reserve`, `commit`) or copy (`write`). What a turn of the event loop gathered leaves as one
 * write, or one `writev` of several buffers, when the turn ends; at once if the bound is reached. While a write is in
 * flight, which over TLS is always the case until a later turn, appending goes on and no further write is issued: so
 * one TLS record carries many frames.
 *
 * An idle connection holds no buffer.
 */
export class Output implements BufferOwner {
  /** The bytes that `reserve` last gave room in. */
  buffer: Buffer = NOTHING;
  blocked = false;
  /** Bytes given to the socket so far. */
  bytesWritten = 0;

  readonly #socket: Socket;
  readonly #owner: OutputOwner;
  #current: OutputBuffer | undefined = undefined;
  readonly #full: OutputBuffer[] = [];
  /** Buffers whose completion is outstanding. */
  #inFlight = 0;
  /** Bytes gathered and not yet given to the socket. */
  #gathered = 0;
  #inFlightBytes = 0;
  #dirty = false;
  #closed = false;
  /** The last turn filled more than a small buffer: the next is expected to do so again. */
  #writesMuch = false;
  readonly #takesAtOnce: boolean;

  /** @param takesAtOnce whether the socket's writes usually complete within the call, as those of plain TCP do. */
  constructor(socket: Socket, owner: OutputOwner, takesAtOnce: boolean) {
    this.#socket = socket;
    this.#owner = owner;
    this.#takesAtOnce = takesAtOnce;
  }

  /** Gathered or in flight: everything the socket's kernel buffer has not taken. */
  get waitingBytes(): number {
    return this.#gathered + this.#inFlightBytes;
  }

  reserve(size: number): number {
    const current = this.#current;
    if (current !== undefined) {
      if (current.bytes.length - current.length >= size) return current.length;
      if (current.length === 0) current.free();
      else this.#full.push(current);
    }
    const next = takeOutputBuffer(size, this.#writesMuch || this.#full.length > 0, this);
    this.#current = next;
    this.buffer = next.bytes;
    // Also without a commit: the end of the turn gives an unused buffer back.
    this.#markDirty();
    return 0;
  }

  commit(offset: number): void {
    const current = this.#current;
    if (current === undefined || offset < current.length || offset > current.bytes.length) {
      throw new Error(`commit(${offset}) does not follow a reserve`);
    }
    this.#gathered += offset - current.length;
    current.length = offset;
    this.#markDirty();
    if (this.#closed) {
      this.#dropGathered();
      return;
    }
    if (this.#gathered + this.#inFlightBytes > OUTPUT_BOUND_BYTES) {
      if (this.#inFlight === 0) this.#send();
      this.blocked = this.#gathered + this.#inFlightBytes > OUTPUT_BOUND_BYTES;
    }
  }

  write(from: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const to = this.reserve(1);
      const buffer = this.buffer;
      const length = Math.min(end - at, buffer.length - to);
      if (length < SHORT_COPY_BYTES) {
        for (let i = 0; i < length; i++) buffer[to + i] = from[at + i] ?? 0;
      } else {
        from.copy(buffer, to, at, at + length);
      }
      this.commit(to + length);
      at += length;
    }
  }

  writeLatin1(text: string): void {
    let at = 0;
    while (at < text.length) {
      const to = this.reserve(1);
      const length = Math.min(text.length - at, this.buffer.length - to);
      const piece = length === text.length ? text : text.slice(at, at + length);
      this.buffer.write(piece, to, length, "latin1");
      this.commit(to + length);
      at += length;
    }
  }

  /** Sends what is gathered, unless a write is in flight: then its completion sends the rest. */
  flush(): void {
    if (this.#inFlight === 0) this.#send();
  }

  /** Hands everything gathered to the socket and takes no more: the socket's own queue keeps the order before its FIN. */
  finish(): void {
    if (this.#closed) return;
    this.#send();
    this.#closed = true;
  }

  /** Drops what is gathered and takes no more. Buffers in flight come back by their callbacks. */
  discard(): void {
    this.#closed = true;
    this.#dropGathered();
  }

  /** The turn ended: called by the flush list alone. */
  onTurnEnd(): void {
    this.#dirty = false;
    try {
      this.flush();
    } catch (error) {
      this.#owner.onOutputBroken(error);
    }
  }

  onWritten(buffer: OutputBuffer): void {
    this.#inFlight--;
    this.#inFlightBytes -= buffer.length;
    buffer.free();
    if (this.#inFlight === 0) this.#send();
    if (this.blocked && this.#gathered + this.#inFlightBytes <= DRAINED_BYTES) {
      this.blocked = false;
      if (!this.#closed) this.#owner.onOutputDrained();
    }
  }

  #send(): void {
    const full = this.#full;
    const current = this.#current;
    if (current !== undefined) {
      this.#current = undefined;
      this.buffer = NOTHING;
      if (current.length === 0) current.free();
      else if (full.length === 0) {
        this.#sendOne(current);
        return;
      } else full.push(current);
    }
    if (full.length === 0) return;
    const socket = this.#socket;
    this.bytesWritten += this.#gathered;
    this.#writesMuch = this.#gathered > SMALL_OUTPUT_BYTES;
    socket.cork();
    for (const buffer of full) this.#give(buffer);
    socket.uncork();
    if (socket.writableLength === 0) {
      // The kernel took everything within the call.
      for (const buffer of full) buffer.free();
    } else {
      for (const buffer of full) {
        buffer.depart();
      }
      this.#inFlight += full.length;
      this.#inFlightBytes += this.#gathered;
    }
    full.length = 0;
    this.#gathered = 0;
  }

  /** What almost every turn of a connection comes to. */
  #sendOne(buffer: OutputBuffer): void {
    this.bytesWritten += this.#gathered;
    this.#writesMuch = this.#gathered > SMALL_OUTPUT_BYTES;
    const socket = this.#socket;
    if (this.#takesAtOnce) {
      // Without a callback: Node would call it in a tick of its own, also for what the kernel took at once.
      socket.write(viewOf(buffer));
      if (socket.writableLength > 0) {
        buffer.writing();
        socket.write(NOTHING, buffer.written);
      }
    } else this.#give(buffer);
    if (socket.writableLength === 0) buffer.free();
    else {
      buffer.depart();
      this.#inFlight++;
      this.#inFlightBytes += this.#gathered;
    }
    this.#gathered = 0;
  }

  #give(buffer: OutputBuffer): void {
    buffer.writing();
    this.#socket.write(viewOf(buffer), buffer.written);
  }

  #dropGathered(): void {
    for (const buffer of this.#full) buffer.free();
    this.#full.length = 0;
    this.#current?.free();
    this.#current = undefined;
    this.buffer = NOTHING;
    this.#gathered = 0;
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    if (dirty.length === 0) setImmediate(flushDirty);
    dirty.push(this);
  }
}

function viewOf({ bytes, length }: OutputBuffer): Buffer {
  return length === bytes.length ? bytes : bytes.subarray(0, length);
}

/** Outputs that gathered something in this turn. `setImmediate` runs right after the poll phase has read every ready socket. */
let dirty: Output[] = [];

function flushDirty(): void {
  const outputs = dirty;
  dirty = [];
  for (const output of outputs) output.onTurnEnd();
}
