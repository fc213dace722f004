/** Whom a lane tells. Times are of `performance.now`. */
export interface LaneOwner {
  onAnswer(lane: Lane, intendedAtMs: number, ok: boolean): void;
  /** Something went wrong that no request waited for. */
  onFault(): void;
  onLaneLost(lane: Lane): void;
}

/** Where requests are sent: a client connection, or one after the other. */
export interface Lane {
  readonly closed: boolean;
  readonly bodyBytes: number;
  /** Part of `bodyBytes`. */
  readonly backgroundBytes: number;
  /** @param intendedAtMs when it was due; where requests go one at a time it may still have to wait for the one before. */
  send(intendedAtMs: number): void;
  /** Sends what was gathered outside of an event. */
  flush(): void;
  close(): void;
}

let counter = 0;

/** Differs in each request of a run. */
export function nextId(): string {
  counter++;
  return Math.imul(counter, 0x9e37_79b1).toString(16).padStart(9, "0");
}
