import { allows, type ChurnClient, type ChurnProtocol } from "./policy-churn-policy.ts";

/** An exchange as its client saw it. `version` is that which routed it; undefined where nothing can tell, as over TCP. */
export interface Observed {
  readonly client: ChurnClient;
  readonly protocol: ChurnProtocol;
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
  readonly outcome:
    | { readonly kind: "admitted"; readonly version: number | undefined }
    | { readonly kind: "refused" };
}

/** Which versions were written when, and which may have been in force at a time. Times are those of one clock. */
export class VersionHistory {
  readonly #boundMs: number;
  /** By version: before the file was touched, and after it was in place. */
  readonly #fromMs: number[] = [];
  readonly #byMs: number[] = [];
  readonly #firstSeenMs: number[] = [];

  /** @param boundMs how long a version may take until it is in force. */
  constructor(boundMs: number) {
    this.#boundMs = boundMs;
  }

  wrote(version: number, fromMs: number, byMs: number): void {
    this.#fromMs[version] = fromMs;
    this.#byMs[version] = byMs;
  }

  get versions(): number {
    return this.#byMs.length;
  }

  /** For each version that routed a request: after how many milliseconds it was first seen to. */
  get inForceAfterMs(): readonly number[] {
    return this.#firstSeenMs.flatMap((seenMs, version) => [seenMs - (this.#byMs[version] ?? seenMs)]);
  }

  /** @returns what is wrong with an exchange; undefined if nothing is. */
  judge({ client, protocol, sentAtMs, answeredAtMs, outcome }: Observed): string | undefined {
    const oldest = Math.max(0, lastAtOrBefore(this.#byMs, sentAtMs - this.#boundMs));
    const newest = lastAtOrBefore(this.#fromMs, answeredAtMs);
    const what = `${client} over ${protocol}`;
    if (outcome.kind === "admitted" && outcome.version !== undefined) {
      const { version } = outcome;
      this.#firstSeenMs[version] = Math.min(this.#firstSeenMs[version] ?? Infinity, answeredAtMs);
      if (!allows(version, client, protocol))
        return `${what} was let in under version ${version}, which does not: a mixture`;
      if (version < oldest || version > newest)
        return `${what} was routed by version ${version}, though ${oldest} to ${newest} were possible`;
      return undefined;
    }
    const admitted = outcome.kind === "admitted";
    for (let version = oldest; version <= newest; version++)
      if (allows(version, client, protocol) === admitted) return undefined;
    return `${what} was ${outcome.kind}, though none of versions ${oldest} to ${newest} says so`;
  }
}

/** The last index whose time is not after `ms`; -1 if there is none. Times ascend. */
function lastAtOrBefore(times: readonly number[], ms: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? Infinity) <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
