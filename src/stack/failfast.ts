import type { Clock, Timer } from "../time/clock.ts";

/**
 * - `normal`: served, or nobody asks.
 * - `waiting`: somebody waits; the timer runs.
 * - `failfast`: somebody waited too long; until the service is ready again, everybody is refused at once.
 */
export type FailfastState = "normal" | "waiting" | "failfast";

/** What the metrics of a gate tell. Instants are monotonic milliseconds, undefined while the gate is the other way. */
export interface GateStats {
  readonly openTotal: number;
  readonly shutTotal: number;
  readonly openedAtMs: number | undefined;
  readonly shutAtMs: number | undefined;
}

/**
 * Decides when waiting becomes pointless.
 *
 * The timer starts when the first request finds the service not ready and runs only while somebody has to wait, so an
 * idle service that is broken is not in failfast. Whoever gives up waiting does not stop it: otherwise clients with
 * short timeouts would wait for ever, one after the other.
 *
 * Source: linkerd2-proxy, linkerd/stack/src/failfast.rs and linkerd/proxy/balance/queue/src/failfast.rs.
 */
export class Failfast {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onFailfast: () => void;
  readonly #onGate: ((isOpen: boolean) => void) | undefined;
  #state: FailfastState = "normal";
  #timer: Timer | undefined;
  #openTotal = 1;
  #shutTotal = 0;
  #turnedAtMs: number;

  /**
   * @param onFailfast called when the timer has run out, the state being `failfast` already.
   * @param onGate called after each later change of the gate; it is open at first.
   */
  constructor(clock: Clock, timeoutMs: number, onFailfast: () => void, onGate?: (isOpen: boolean) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onFailfast = onFailfast;
    this.#onGate = onGate;
    this.#turnedAtMs = clock.nowMs();
  }

  get state(): FailfastState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#state !== "failfast";
  }

  get stats(): GateStats {
    return {
      openTotal: this.#openTotal,
      shutTotal: this.#shutTotal,
      openedAtMs: this.isOpen ? this.#turnedAtMs : undefined,
      shutAtMs: this.isOpen ? undefined : this.#turnedAtMs,
    };
  }

  /** A request finds the service not ready. */
  wait(): void {
    if (this.#state !== "normal") return;
    this.#state = "waiting";
    this.#timer = this.#clock.after(this.#timeoutMs, () => this.#shut());
  }

  /** The service is ready. */
  ready(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const wasShut = this.#state === "failfast";
    this.#state = "normal";
    if (!wasShut) return;
    this.#openTotal++;
    this.#turnedAtMs = this.#clock.nowMs();
    this.#onGate?.(true);
  }

  /** Stops the timer; for a service that is being dropped. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #shut(): void {
    this.#timer = undefined;
    this.#state = "failfast";
    this.#shutTotal++;
    this.#turnedAtMs = this.#clock.nowMs();
    this.#onGate?.(false);
    this.#onFailfast();
  }
}
