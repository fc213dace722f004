/** What the Connection fields of a head say. Reused: `clear` before each head. */
export class ConnectionOptions {
  close = false;
  keepAlive = false;
  upgrade = false;
  /** Lower-case names of fields that are meant for this hop only, besides the ones every hop knows. */
  named: string[] | undefined = undefined;

  clear(): void {
    this.close = false;
    this.keepAlive = false;
    this.upgrade = false;
    this.named = undefined;
  }

  /** Adds the options of one field value (RFC 9110 section 7.6.1). */
  add(value: string): void {
    // What nearly everyone sends, without cutting it.
    if (value === "keep-alive" || value === "Keep-Alive") this.keepAlive = true;
    else if (value === "close") this.close = true;
    else for (const option of value.toLowerCase().split(",")) this.#addOne(option.trim());
  }

  #addOne(option: string): void {
    if (option === "close") this.close = true;
    else if (option === "keep-alive") this.keepAlive = true;
    else if (option === "upgrade") this.upgrade = true;
    else if (option !== "") (this.named ??= []).push(option);
  }
}
