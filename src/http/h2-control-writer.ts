import { ProxyError } from "../errors/proxy-error.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { Transport } from "../transport/transport.ts";
import {
  goawayBytes,
  PING_BYTES,
  RST_STREAM_BYTES,
  SETTINGS_ACK_BYTES,
  settingsBytes,
  WINDOW_UPDATE_BYTES,
  writeGoaway,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../wire/http2/frame-writer.ts";
import { H2_UNSENT_CONTROL_BYTES, H2_UNSENT_CONTROL_FRAMES, H2_UNSENT_CONTROL_MS } from "../wire/limits.ts";
import { peerName, type Side } from "./h2-reset.ts";

/**
 * Writes the frames that carry no message, and watches the peer that asks for them: one that does not read the answers
 * is not listened to for a while, and then cut (LIM-17; CVE-2019-9512 and -9515).
 */
export class ControlWriter {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #side: Side;
  /** Answers written while the transport was blocked. */
  #unsentFrames = 0;
  #unsentBytes = 0;
  #timer: Timer | undefined;

  constructor(transport: Transport, clock: Clock, side: Side) {
    this.#transport = transport;
    this.#clock = clock;
    this.#side = side;
  }

  /** `settings` are identifiers and values in turn. */
  settings(settings: readonly number[]): void {
    const at = this.#transport.reserve(settingsBytes(settings.length / 2));
    this.#transport.commit(writeSettings(this.#transport.buffer, at, settings));
  }

  settingsAck(): void {
    const at = this.#reserve(SETTINGS_ACK_BYTES);
    this.#transport.commit(writeSettingsAck(this.#transport.buffer, at));
  }

  /** The content is the eight bytes at `source[from]`. One of ours is no answer: the peer did not ask for it. */
  ping(ack: boolean, source: Buffer, from: number): void {
    const at = ack ? this.#reserve(PING_BYTES) : this.#transport.reserve(PING_BYTES);
    this.#transport.commit(writePing(this.#transport.buffer, at, ack, source, from));
  }

  goaway(lastId: number, code: number, explanation: string): void {
    const at = this.#transport.reserve(goawayBytes(explanation));
    this.#transport.commit(writeGoaway(this.#transport.buffer, at, lastId, code, explanation));
  }

  rstStream(streamId: number, code: number): void {
    const at = this.#reserve(RST_STREAM_BYTES);
    this.#transport.commit(writeRstStream(this.#transport.buffer, at, streamId, code));
  }

  windowUpdate(streamId: number, increment: number): void {
    const at = this.#reserve(WINDOW_UPDATE_BYTES);
    this.#transport.commit(writeWindowUpdate(this.#transport.buffer, at, streamId, increment));
  }

  #reserve(bytes: number): number {
    this.noteAnswer(bytes);
    return this.#transport.reserve(bytes);
  }

  /** Counts bytes that the peer made us write, whoever writes them. */
  noteAnswer(bytes: number): void {
    if (!this.#transport.blocked) return;
    this.#unsentFrames++;
    this.#unsentBytes += bytes;
    if (this.#unsentFrames < H2_UNSENT_CONTROL_FRAMES && this.#unsentBytes < H2_UNSENT_CONTROL_BYTES) return;
    if (this.#timer !== undefined) return;
    this.#transport.pause();
    this.#timer = this.#clock.after(H2_UNSENT_CONTROL_MS, () => {
      const text = `${peerName(this.#side)} does not read what it asked for`;
      this.#transport.destroy(new ProxyError("io", text, { side: this.#side }));
    });
  }

  onDrain(): void {
    this.#unsentFrames = 0;
    this.#unsentBytes = 0;
    if (this.#timer === undefined) return;
    this.stop();
    this.#transport.resume();
  }

  /** Takes the timer back. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
