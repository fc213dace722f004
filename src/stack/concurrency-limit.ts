/**
 * Counts what is under way and sheds what is too much: nobody waits for a place.
 *
 * The limit of requests per direction (LIM-23) is one of these.
 */
export class ConcurrencyLimit {
  readonly #max: number;
  readonly #leave = (): void => void this.#inFlight--;
  #inFlight = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get hasRoom(): boolean {
    return this.#inFlight < this.#max;
  }

  /** Takes a place, to be left by whoever got it; undefined if there is none. */
  enter(): Place | undefined {
    if (this.#inFlight >= this.#max) return undefined;
    this.#inFlight++;
    return new Place(this.#leave);
  }
}

/** A place within a limit. What it was for may be over in several ways, some of which follow each other: only the first counts. */
export class Place {
  #onLeave: (() => void) | undefined;

  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  leave(): void {
    this.#onLeave?.();
    this.#onLeave = undefined;
  }
}
