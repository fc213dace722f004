import { nextId, type Lane, type LaneOwner } from "./lane.ts";

/** Who waits for an answer. */
export interface Waiter {
  onResponse(ok: boolean): void;
  onGone(): void;
}

/** A client connection with one request at a time. */
export interface SerialClient {
  readonly closed: boolean;
  /** Bytes of response bodies so far. */
  readonly bodyBytes: number;
  /** @param id differs in each request, as real clients' do. */
  request(id: string): void;
  pump(): void;
  close(): void;
}

/** A connection on which requests wait for each other. */
export class SerialLane implements Lane {
  readonly backgroundBytes = 0;
  readonly #client: SerialClient;
  /** Due times of the request under way and of those behind it. */
  readonly #due: number[] = [];

  constructor(owner: LaneOwner, clientFor: (waiter: Waiter) => SerialClient) {
    this.#client = clientFor({
      onResponse: (ok) => {
        const intendedAtMs = this.#due.shift() ?? 0;
        if (this.#due.length > 0) this.#client.request(nextId());
        owner.onAnswer(this, intendedAtMs, ok);
      },
      onGone: () => owner.onLaneLost(this),
    });
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  get bodyBytes(): number {
    return this.#client.bodyBytes;
  }

  send(intendedAtMs: number): void {
    this.#due.push(intendedAtMs);
    if (this.#due.length === 1) this.#client.request(nextId());
  }

  flush(): void {
    this.#client.pump();
  }

  close(): void {
    this.#client.close();
  }
}
