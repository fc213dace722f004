import { BandwidthDelay } from "../wire/http2/bandwidth-delay.ts";
import { H2_ADAPTIVE_PROCESS_BYTES, H2_CONNECTION_WINDOW_BYTES } from "../wire/limits.ts";
import { ByteBudget } from "./byte-budget.ts";

/** What adapting asks of a connection. */
export interface AdaptiveWindowsPeer {
  sendWindowPing(): void;
  /** Every stream may have `bytes` under way from now on, and all of them together no fewer. */
  growWindows(bytes: number): void;
}

/** LIM-12: what the windows of all connections may have grown by together. */
export const PROCESS_ADAPTIVE_WINDOWS = new ByteBudget(H2_ADAPTIVE_PROCESS_BYTES);

/**
 * Makes the receive windows of one connection larger where its delay asks for it.
 *
 * The window of the connection bounds what all its streams may have sent and nobody passed on. It grows with theirs, and
 * the process as a whole has only so much to grow by: whoever finds nothing left keeps the windows it has.
 */
export class AdaptiveWindows {
  readonly #peer: AdaptiveWindowsPeer;
  readonly #budget: ByteBudget;
  readonly #estimate = new BandwidthDelay();
  /** What of the budget is held. */
  #heldBytes = 0;

  constructor(peer: AdaptiveWindowsPeer, budget = PROCESS_ADAPTIVE_WINDOWS) {
    this.#peer = peer;
    this.#budget = budget;
  }

  onData(bytes: number, nowMs: number): void {
    if (this.#estimate.receive(bytes, nowMs)) this.#peer.sendWindowPing();
  }

  onPong(nowMs: number): void {
    if (!this.#estimate.answered(nowMs)) return;
    const { windowBytes } = this.#estimate;
    const more = Math.max(0, windowBytes - H2_CONNECTION_WINDOW_BYTES) - this.#heldBytes;
    if (more > 0) {
      if (!this.#budget.take(more)) return;
      this.#heldBytes += more;
    }
    this.#peer.growWindows(windowBytes);
  }

  /** The connection is over. */
  stop(): void {
    this.#budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
