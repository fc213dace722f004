import type { ProxyError } from "../errors/proxy-error.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { ByteHandler, Transport } from "../transport/transport.ts";

/**
 * How looking at the first bytes of a connection ended. In every case but `closed` the transport is paused and `prefix`
 * (a copy, the caller's own) holds all that was read: give both to the next driver with `replay`.
 */
export type PrefixRead<T> =
  | { readonly kind: "decided"; readonly value: T; readonly prefix: Buffer }
  /** The time is up without a decision. */
  | { readonly kind: "timeout"; readonly prefix: Buffer }
  /** The peer finished writing without a decision; it may still read. The next handler is told of the end too. */
  | { readonly kind: "ended"; readonly prefix: Buffer }
  /** The signal asked to stop; only if one was given. */
  | { readonly kind: "stopped"; readonly prefix: Buffer }
  /** The connection is gone. */
  | { readonly kind: "closed"; readonly prefix: Buffer; readonly error: ProxyError | undefined };

/** Options of `readPrefix`. */
export interface PeekOptions {
  /** Bytes that an earlier look has taken already; judged first. */
  readonly initial?: Buffer;
  /**
   * Ends the look early with what was read, for a caller that learns the answer elsewhere (a server that speaks first).
   */
  readonly signal?: AbortSignal;
}

/** Bytes taken at most: a decider that still asks for more is wrong, since all of them have smaller bounds (LIM-21 and others). */
const PREFIX_BOUND_BYTES = 192 * 1024;

const FIRST_CAPACITY_BYTES = 2048;

/**
 * Takes bytes from a connection until `decide` gives a value, within `timeoutMs` from now.
 *
 * @param decide pure; sees everything read so far, valid during the call, and answers undefined while it needs more.
 * It must answer within its own bound: whoever bounds the bytes is the decider.
 */
export function readPrefix<T>(
  transport: Transport,
  clock: Clock,
  timeoutMs: number,
  decide: (bytes: Buffer) => T | undefined,
  options: PeekOptions = {},
): Promise<PrefixRead<T>> {
  const { initial, signal } = options;
  if (initial !== undefined && initial.length > 0) {
    const value = decide(initial);
    if (value !== undefined) {
      transport.pause();
      return Promise.resolve({ kind: "decided", value, prefix: initial });
    }
  }
  return new Promise((resolve) => {
    const peek = new Peek(transport, decide, initial, (result) => {
      timer.cancel();
      signal?.removeEventListener("abort", stop);
      resolve(result);
    });
    const stop = (): void => peek.settle("stopped");
    const timer: Timer = clock.after(timeoutMs, () => peek.settle("timeout"));
    if (signal?.aborted === true) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    transport.attach(peek);
    transport.resume();
  });
}

class Peek<T> implements ByteHandler {
  readonly #transport: Transport;
  readonly #decide: (bytes: Buffer) => T | undefined;
  readonly #done: (result: PrefixRead<T>) => void;
  #bytes: Buffer;
  #length: number;
  #settled = false;

  constructor(
    transport: Transport,
    decide: (bytes: Buffer) => T | undefined,
    initial: Buffer | undefined,
    done: (result: PrefixRead<T>) => void,
  ) {
    this.#transport = transport;
    this.#decide = decide;
    this.#done = done;
    this.#bytes = initial ?? NOTHING;
    this.#length = this.#bytes.length;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#append(buffer, start, end);
    if (this.#settled) return;
    const prefix = this.#bytes.subarray(0, this.#length);
    const value = this.#decide(prefix);
    if (value !== undefined) {
      this.#transport.pause();
      this.#finish({ kind: "decided", value, prefix });
    } else if (this.#length > PREFIX_BOUND_BYTES) {
      throw new Error(`a detector asks for more than ${this.#length} bytes`);
    }
  }

  onEnd(): void {
    this.settle("ended");
  }

  onDrain(): void {}

  onClose(error: ProxyError | undefined): void {
    this.#finish({ kind: "closed", prefix: this.#bytes.subarray(0, this.#length), error });
  }

  /** Ends the look without a decision. */
  settle(kind: "timeout" | "ended" | "stopped"): void {
    if (this.#settled) return;
    this.#transport.pause();
    this.#finish({ kind, prefix: this.#bytes.subarray(0, this.#length) });
  }

  #finish(result: PrefixRead<T>): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#done(result);
  }

  /** Keeps a copy; capacity doubles, so that a peer which sends single bytes costs a copy each and no more. */
  #append(buffer: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) {
      const first = this.#length === 0 ? end - start : FIRST_CAPACITY_BYTES;
      const grown = Buffer.allocUnsafeSlow(Math.max(length, first, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    buffer.copy(this.#bytes, this.#length, start, end);
    this.#length = length;
  }
}

const NOTHING = Buffer.alloc(0);
