/** How a backend is chosen among those that are available. */
export type DistributionKind = "first_available" | "random_available";

/** `weight` counts for random choice alone; 0 is never drawn. */
export interface Weighted<T> {
  readonly item: T;
  readonly weight: number;
}

/**
 * Chooses among backends: the first in the list, or one by weight, of those available now.
 *
 * With fewer than two entries weights mean nothing, not even 0. Without entries nothing is ever available.
 *
 * Source: linkerd2-proxy, linkerd/distribute/src/service.rs.
 */
export class Distributor<T> {
  readonly #entries: readonly Weighted<T>[];
  readonly #random: boolean;
  readonly #totalWeight: number;

  constructor(kind: DistributionKind, entries: readonly Weighted<T>[]) {
    this.#entries = entries;
    this.#random = kind === "random_available" && entries.length > 1;
    this.#totalWeight = entries.reduce((sum, entry) => sum + entry.weight, 0);
  }

  /**
   * @param random uniform in [0, 1); called once per draw.
   * @returns undefined if nothing is available: the caller refuses, it does not wait.
   */
  pick(isAvailable: (item: T) => boolean, random: () => number): T | undefined {
    if (this.#random) return this.#pickRandom(isAvailable, random);
    for (const { item } of this.#entries) if (isAvailable(item)) return item;
    return undefined;
  }

  #pickRandom(isAvailable: (item: T) => boolean, random: () => number): T | undefined {
    let total = this.#totalWeight;
    // Those drawn in vain. Made only when the first draw fails.
    let drawn: Set<number> | undefined;
    while (total > 0) {
      const index = this.#draw(random() * total, drawn);
      const entry = this.#entries[index];
      if (entry === undefined) return undefined;
      if (isAvailable(entry.item)) return entry.item;
      drawn ??= new Set();
      drawn.add(index);
      total -= entry.weight;
    }
    return undefined;
  }

  /** The entry in whose share `point` lies, when the weights of those not yet drawn are laid end to end. */
  #draw(point: number, drawn: ReadonlySet<number> | undefined): number {
    let last = -1;
    let rest = point;
    for (let i = 0; i < this.#entries.length; i++) {
      const weight = this.#entries[i]?.weight ?? 0;
      if (weight <= 0 || drawn?.has(i) === true) continue;
      if (rest < weight) return i;
      rest -= weight;
      last = i;
    }
    return last;
  }
}
