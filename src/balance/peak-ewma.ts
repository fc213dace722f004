import { Ewma } from "./ewma.ts";
import type { FailureHint, Load } from "./load.ts";

/**
 * Load as latency times the requests that are waiting for it.
 *
 * The latency is an average that rises to a peak at once and falls slowly; in silence it decays towards zero, so that an
 * endpoint left alone is tried again.
 *
 * Source: tower, tower/src/load/peak_ewma.rs; linkerd2-proxy, linkerd/proxy/balance/src/lib.rs.
 */
export class PeakEwma implements Load {
  readonly #rtt: Ewma;
  #pending = 0;

  /** @param defaultRttMs what a new endpoint is taken to need. */
  constructor(defaultRttMs: number, decayMs: number, nowMs: number) {
    this.#rtt = new Ewma(decayMs, defaultRttMs, nowMs);
  }

  get pending(): number {
    return this.#pending;
  }

  load(nowMs: number): number {
    return this.#rtt.decay(nowMs) * (this.#pending + 1);
  }

  begin(): void {
    this.#pending++;
  }

  /** Failures and given up requests count with the time they took, like any other. */
  end(startedAtMs: number, nowMs: number, _hint: FailureHint | undefined): void {
    this.#pending--;
    this.#rtt.addPeak(nowMs - startedAtMs, nowMs);
  }
}
