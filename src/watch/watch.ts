/** The newest value of something that changes, as its readers see it. */
export interface Watch<T> {
  readonly value: T;
  /** Calls `f` with each later value until `signal` aborts. The value of now is not announced: read it first. */
  subscribe(signal: AbortSignal, f: (value: T) => void): void;
}

/** A watch with its writing end. Values are replaced, never changed: whoever publishes gives the value away. */
export class WatchCell<T> implements Watch<T> {
  #value: T;
  #version = 0;
  readonly #subscribers = new Set<(value: T) => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  get value(): T {
    return this.#value;
  }

  /**
   * Every subscriber hears of the value, even if one of them throws; the first error is thrown in the end. A subscriber
   * may publish again: everybody then hears the newer value last.
   */
  publish(value: T): void {
    this.#value = value;
    const version = ++this.#version;
    const errors: unknown[] = [];
    // A subscriber may leave while others are told: a Set skips it.
    for (const f of this.#subscribers) {
      try {
        f(value);
      } catch (error) {
        errors.push(error);
      }
      // Somebody published a newer value, and everybody has heard of it.
      if (version !== this.#version) break;
    }
    if (errors.length > 0) throw errors[0];
  }

  subscribe(signal: AbortSignal, f: (value: T) => void): void {
    if (signal.aborted) return;
    // A subscription of its own per call, so that one function may subscribe under two signals.
    const own = (value: T): void => f(value);
    this.#subscribers.add(own);
    signal.addEventListener("abort", () => this.#subscribers.delete(own), { once: true });
  }
}
