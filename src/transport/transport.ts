import type { SocketAddr } from "../addr/socket-addr.ts";
import type { ProxyError } from "../errors/proxy-error.ts";

/** Whoever drives a connection: a detector, a codec, a TCP forwarder. */
export interface ByteHandler {
  /** Bytes arrived. The range is valid only during the call: the buffer is shared by all connections. */
  onBytes(buffer: Buffer, start: number, end: number): void;
  /** The peer finished writing (FIN or close_notify). Our direction is still open. */
  onEnd(): void;
  /** Output that was `blocked` takes bytes again. */
  onDrain(): void;
  /** The connection is gone, with the reason if it was not an orderly close. Called exactly once, and last. */
  onClose(error: ProxyError | undefined): void;
}

/**
 * A connection as everything above sockets sees it.
 *
 * Output is gathered: `reserve` gives room in the current output buffer, the caller writes in place and `commit`s, and
 * one write per connection leaves at the end of the event-loop turn. `blocked` says that more bytes wait than the bound
 * allows; body bytes must then wait for `onDrain`, while control bytes may still be added.
 */
export interface Transport {
  readonly peerAddr: SocketAddr;
  readonly localAddr: SocketAddr;

  /** Replaces the handler; the first attach starts reading. */
  attach(handler: ByteHandler): void;
  pause(): void;
  resume(): void;

  /** The output buffer that `reserve` last gave room in. */
  readonly buffer: Buffer;
  /** Makes room for `size` bytes and returns the offset in `buffer` at which they start. Valid until the next `reserve`. */
  reserve(size: number): number;
  /** Ends at `offset` in `buffer` what was written since `reserve`, and schedules the flush. */
  commit(offset: number): void;
  /** Copies a range into the output. */
  write(buffer: Buffer, start: number, end: number): void;
  /** Copies a latin1 string into the output. */
  writeLatin1(text: string): void;
  readonly blocked: boolean;
  /** Output bytes that have not left yet: gathered, or given to a socket whose kernel buffer is full. Also counted after `end`. */
  readonly waitingBytes: number;
  /** Sends what is gathered now instead of at the end of the turn. */
  flush(): void;

  /** Sends what is gathered, then finishes our direction (FIN or close_notify). */
  end(): void;
  /** Closes at once, dropping unsent output; `reset` sends a TCP RST where the platform can. `onClose` follows in a later turn. */
  destroy(error?: ProxyError): void;
  reset(): void;
  readonly destroyed: boolean;
}
