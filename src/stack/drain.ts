/**
 * The end of a process as its connections see it: told once, then waited for.
 *
 * Whoever carries work (a connection, a tunnel) joins, is asked to finish when the drain begins, and leaves when it is
 * done. The drain is over when everyone has left.
 */
export class Drain {
  readonly #members = new Set<Member>();
  #begun = false;
  #resolve: () => void = () => {};
  readonly #empty: Promise<void>;

  constructor() {
    this.#empty = new Promise((resolve) => (this.#resolve = resolve));
  }

  get begun(): boolean {
    return this.#begun;
  }

  /** Members that have not finished. */
  get size(): number {
    return this.#members.size;
  }

  /**
   * @param finish asks the member to end gracefully: called once, at once if the drain has begun. Members that run to
   * their own end (tunnels) do nothing.
   * @returns to be called when the member is done; later calls do nothing.
   */
  join(finish: () => void): () => void {
    const member: Member = { finish };
    this.#members.add(member);
    if (this.#begun) finish();
    return () => {
      if (this.#members.delete(member)) this.#settle();
    };
  }

  /** Asks all members to finish and resolves when all have. */
  begin(): Promise<void> {
    if (!this.#begun) {
      this.#begun = true;
      for (const { finish } of [...this.#members]) finish();
      this.#settle();
    }
    return this.#empty;
  }

  #settle(): void {
    if (this.#begun && this.#members.size === 0) this.#resolve();
  }
}

interface Member {
  readonly finish: () => void;
}
