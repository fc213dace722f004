import { BODY, Connection } from "./connection.ts";

/** A connection whose messages are a head and a body, one after the other. */
export abstract class BodyConnection extends Connection {
  /** Bytes of the body that has yet to be written. */
  #owed = 0;

  /** What fits goes out at once, the rest as the connection takes it. */
  protected writeBody(bytes: number): void {
    this.#owed = bytes;
    this.produce();
  }

  protected produce(): void {
    while (this.#owed > 0 && !this.full) {
      const bytes = Math.min(this.#owed, BODY.length);
      BODY.copy(this.output, this.length, 0, bytes);
      this.length += bytes;
      this.#owed -= bytes;
    }
  }
}
