import { INPUT_MAX_BYTES } from "./mutate.ts";
import type { Input } from "./target.ts";

/** Inputs of our own may be larger than what mutation makes of them; longer ones are cut here. */
const CONTENT_MAX_BYTES = 4 * INPUT_MAX_BYTES;

/**
 * The input that runs now, in memory that another thread sees: a loop without an end tells nobody what it was given.
 *
 * Layout: number of the execution, bytes in use, then the name of the target and the segments, each behind its length.
 */
export class InputBuffer {
  readonly shared: SharedArrayBuffer;
  readonly #numbers: Int32Array;
  readonly #bytes: Buffer;

  constructor(shared = new SharedArrayBuffer(8 + CONTENT_MAX_BYTES)) {
    this.shared = shared;
    this.#numbers = new Int32Array(shared, 0, 2);
    this.#bytes = Buffer.from(shared, 8);
  }

  /** Rises with each input. */
  get execution(): number {
    return Atomics.load(this.#numbers, 0);
  }

  write(target: string, input: Input): void {
    // Written as it is: an encoding would cost more than many of the targets do.
    const bytes = this.#bytes;
    let at = put(bytes, 0, Buffer.from(target, "latin1"));
    for (const segment of input) at = put(bytes, at, segment);
    Atomics.store(this.#numbers, 1, at);
    Atomics.add(this.#numbers, 0, 1);
  }

  read(): { readonly target: string; readonly input: Input } {
    const end = Atomics.load(this.#numbers, 1);
    const parts: Buffer[] = [];
    for (let at = 0; at < end;) {
      const length = this.#bytes.readUInt32LE(at);
      parts.push(Buffer.from(this.#bytes.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    const [target = Buffer.alloc(0), ...input] = parts;
    return { target: target.toString("latin1"), input };
  }
}

/** A length and the bytes; what finds no room is left out. Returns the offset behind. */
function put(bytes: Buffer, at: number, part: Buffer): number {
  if (at + 4 + part.length > bytes.length) return at;
  bytes.writeUInt32LE(part.length, at);
  part.copy(bytes, at + 4);
  return at + 4 + part.length;
}
