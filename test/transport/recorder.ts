import { createHash } from "node:crypto";
import type { ProxyError } from "../../src/errors/proxy-error.ts";
import type { ByteHandler } from "../../src/transport/transport.ts";

/** A handler that remembers what it was told; `until` waits for a condition on that. */
export class Recorder implements ByteHandler {
  readonly events: ("bytes" | "end" | "drain" | "close")[] = [];
  readonly chunks: Buffer[] = [];
  length = 0;
  error: ProxyError | undefined;
  /** Called with each range after it was recorded. */
  onChunk: (buffer: Buffer, start: number, end: number) => void = () => {};
  onEndHook: () => void = () => {};
  onDrainHook: () => void = () => {};
  readonly #hash = createHash("sha256");
  readonly #keep: boolean;
  #waiting: (() => void)[] = [];

  constructor(options: { keep?: boolean } = {}) {
    this.#keep = options.keep ?? true;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#hash.update(buffer.subarray(start, end));
    this.length += end - start;
    if (this.#keep) this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    this.onChunk(buffer, start, end);
    this.#told("bytes");
  }

  onEnd(): void {
    this.onEndHook();
    this.#told("end");
  }

  onDrain(): void {
    this.onDrainHook();
    this.#told("drain");
  }

  onClose(error: ProxyError | undefined): void {
    this.error = error;
    this.#told("close");
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  has(event: "end" | "drain" | "close"): boolean {
    return this.events.includes(event);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #told(event: "bytes" | "end" | "drain" | "close"): void {
    if (event !== "bytes" || this.events.at(-1) !== "bytes") this.events.push(event);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
