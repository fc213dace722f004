import { ProxyError } from "../errors/proxy-error.ts";

/** How many handshakes may begin in one turn of the event loop: each costs about 1 ms of it, everybody else waits meanwhile. */
const STARTS_PER_TURN = 2;

/** Handshakes that wait for their turn; at 2 ms each the last would already wait for two seconds. */
const MAX_WAITING = 1024;

/**
 * Spreads handshakes that arrive together over turns of the event loop, so that requests under way pass in between.
 *
 * It counts beginnings rather than handshakes in progress: a peer that begins and then falls silent costs no processor
 * time, and must not keep a place that others need. One pacer serves both directions, since they share the loop.
 */
export class HandshakePacer {
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;

  /** Resolves when a handshake may begin. Rejects with `loadshed` if too many are waiting. */
  turn(): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new ProxyError("loadshed", `${MAX_WAITING} TLS handshakes are already waiting`));
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (const start of this.#waiting.splice(0, STARTS_PER_TURN)) start();
      this.#schedule();
    });
  }
}
