import type { Clock, Timer } from "../time/clock.ts";
import type { H2KeepAlive } from "./h2-options.ts";

/** What keep-alive asks of a connection. */
export interface KeepAlivePeer {
  /** When the last bytes came, and how often bytes came. */
  readonly lastReadMs: number;
  readonly reads: number;
  readonly openStreams: number;
  sendKeepAlivePing(): void;
  /** The peer did not answer: the connection is dead. */
  onKeepAliveTimeout(): void;
}

/**
 * PINGs a silent peer. Any byte counts as a sign of life, because an answer may wait behind much else; so a busy
 * connection costs one timer per interval and no PING.
 */
export class KeepAlive {
  readonly #params: H2KeepAlive;
  readonly #clock: Clock;
  readonly #peer: KeepAlivePeer;
  #timer: Timer | undefined;

  constructor(params: H2KeepAlive, clock: Clock, peer: KeepAlivePeer) {
    this.#params = params;
    this.#clock = clock;
    this.#peer = peer;
    this.#wait(params.intervalMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wait(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => this.#ask());
  }

  #ask(): void {
    const { intervalMs, timeoutMs, whileIdle } = this.#params;
    const nowMs = this.#clock.nowMs();
    const silentMs = nowMs - this.#peer.lastReadMs;
    if (silentMs < intervalMs) return this.#wait(intervalMs - silentMs);
    if (!whileIdle && this.#peer.openStreams === 0) return this.#wait(intervalMs);
    const reads = this.#peer.reads;
    this.#peer.sendKeepAlivePing();
    this.#timer = this.#clock.after(timeoutMs, () => {
      if (this.#peer.reads !== reads) this.#ask();
      else this.#peer.onKeepAliveTimeout();
    });
  }
}
