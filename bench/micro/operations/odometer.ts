const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LETTER_A = 0x61;
const LETTER_F = 0x66;

/** Makes a text in a buffer one that was never there before, at about the cost of writing one byte. */
export class Odometer {
  readonly #buffer: Buffer;
  readonly #end: number;

  /** @param end behind the last of the hexadecimal digits, of which there are enough for any measurement. */
  constructor(buffer: Buffer, end: number) {
    this.#buffer = buffer;
    this.#end = end;
  }

  turn(): void {
    const buffer = this.#buffer;
    for (let at = this.#end - 1; ; at--) {
      const digit = buffer[at] ?? 0;
      if (digit !== LETTER_F) {
        buffer[at] = digit === DIGIT_9 ? LETTER_A : digit + 1;
        return;
      }
      buffer[at] = DIGIT_0;
    }
  }
}
