import { Ewma } from "./ewma.ts";
import type { FailureHint, Load } from "./load.ts";

export interface PenaltyParams {
  readonly defaultRttMs: number;
  readonly decayMs: number;
  /** The latency that a failing response is taken to have had, at least. */
  readonly penaltyMs: number;
  /** The longest wait that a server may talk us into. */
  readonly maxRetryAfterMs: number;
}

/**
 * Peak EWMA that also counts failing responses, which are often the fastest: each is recorded as a very slow one.
 *
 * Source: linkerd2-proxy, linkerd/load-biaser/src/lib.rs.
 */
export class PenaltyPeakEwma implements Load {
  readonly #params: PenaltyParams;
  readonly #rtt: Ewma;
  #pending = 0;

  constructor(params: PenaltyParams, nowMs: number) {
    this.#params = params;
    this.#rtt = new Ewma(params.decayMs, params.defaultRttMs, nowMs);
  }

  get pending(): number {
    return this.#pending;
  }

  load(nowMs: number): number {
    return this.#rtt.decayed(nowMs) * (this.#pending + 1);
  }

  begin(): void {
    this.#pending++;
  }

  end(startedAtMs: number, nowMs: number, hint: FailureHint | undefined): void {
    this.#pending--;
    const decayed = this.#rtt.decayed(nowMs);
    const sample = hint === undefined ? nowMs - startedAtMs : Math.max(this.#penalty(hint), decayed);
    // Peaks are judged against the decayed average here: unlike in PeakEwma, asking for the load does not decay it.
    if (decayed < sample) this.#rtt.replace(sample, nowMs);
    else this.#rtt.add(sample, nowMs);
  }

  #penalty(hint: FailureHint): number {
    const { penaltyMs, maxRetryAfterMs } = this.#params;
    if (hint.kind === "internal" || hint.retryAfterMs === undefined) return penaltyMs;
    return Math.max(penaltyMs, Math.min(hint.retryAfterMs, maxRetryAfterMs));
  }
}
