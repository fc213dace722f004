import { H2_ADAPTIVE_WINDOW_BYTES_MAX } from "../limits.ts";
import { WINDOW_DEFAULT } from "./flow-window.ts";

/** The pause after the first sample; halved when the window has grown, and made longer when nothing changes. */
const FIRST_PAUSE_MS = 100;
/** Never more PINGs than one in this time: peers count them. */
const SHORTEST_PAUSE_MS = 10;
/** A pause as long as this grows no further. */
const LONG_PAUSE_MS = 10_000;
const PAUSE_GROWTH = 4;
/** So many samples in a row without change make the pause longer. */
const STABLE_SAMPLES = 2;

/** Weight of a new round trip in the average. */
const ROUND_TRIP_WEIGHT = 1 / 8;
/** Round trips below what a clock tells apart. */
const SHORTEST_ROUND_TRIP_MS = 0.01;

/** How much of the window a round trip must have brought before it is made larger, and how large it then is. */
const USED_SHARE = 2 / 3;
const GROWTH = 2;

/**
 * Finds how large a receive window has to be for the peer never to wait for credit: twice what arrives in one round trip.
 *
 * A sample is what DATA brings from one PING to its answer. The window grows if the sample used most of it and came at no
 * lower rate than any before; it never shrinks. Where nothing changes, samples become rare, and at the largest window
 * there are none.
 *
 * Deliberately blind to what a stream or a credit is: it is told of bytes and instants alone.
 *
 * Source: hyper, src/proto/h2/ping.rs. The shortest pause is ours.
 */
export class BandwidthDelay {
  /** The window of now, from 65,535 up to `H2_ADAPTIVE_WINDOW_BYTES_MAX`. */
  windowBytes = WINDOW_DEFAULT;
  /** Average round trip, 0 before the first. */
  #roundTripMs = 0;
  /** Bytes a millisecond, the largest so far. */
  #rate = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #stable = 0;
  /** When the PING under way was sent; undefined if none is. */
  #askedAtMs: number | undefined = undefined;
  /** Before this, nothing is sampled. */
  #nextAtMs = Number.NEGATIVE_INFINITY;
  /** Bytes of the sample under way. */
  #bytes = 0;

  /**
   * Notes DATA.
   *
   * @returns whether a sample begins with it: then a PING is to be sent, and its answer told to `answered`.
   */
  receive(bytes: number, nowMs: number): boolean {
    if (this.#askedAtMs !== undefined) {
      this.#bytes += bytes;
      return false;
    }
    if (nowMs < this.#nextAtMs) return false;
    this.#askedAtMs = nowMs;
    this.#bytes = bytes;
    return true;
  }

  /**
   * Notes the answer to the PING; one that nobody asked for does nothing.
   *
   * @returns whether `windowBytes` has grown.
   */
  answered(nowMs: number): boolean {
    const askedAtMs = this.#askedAtMs;
    if (askedAtMs === undefined) return false;
    this.#askedAtMs = undefined;
    const grows = this.#sample(this.#bytes, Math.max(SHORTEST_ROUND_TRIP_MS, nowMs - askedAtMs));
    if (grows) this.#shortenPause();
    else this.#lengthenPause();
    const isLargest = this.windowBytes === H2_ADAPTIVE_WINDOW_BYTES_MAX;
    this.#nextAtMs = isLargest ? Number.POSITIVE_INFINITY : nowMs + this.#pauseMs;
    return grows;
  }

  #sample(bytes: number, roundTripMs: number): boolean {
    this.#roundTripMs =
      this.#roundTripMs === 0
        ? roundTripMs
        : this.#roundTripMs + (roundTripMs - this.#roundTripMs) * ROUND_TRIP_WEIGHT;
    const rate = bytes / this.#roundTripMs;
    if (rate < this.#rate) return false;
    this.#rate = rate;
    if (bytes < this.windowBytes * USED_SHARE) return false;
    this.windowBytes = Math.min(bytes * GROWTH, H2_ADAPTIVE_WINDOW_BYTES_MAX);
    return true;
  }

  #shortenPause(): void {
    this.#pauseMs = Math.max(SHORTEST_PAUSE_MS, this.#pauseMs / 2);
    this.#stable = 0;
  }

  #lengthenPause(): void {
    if (this.#pauseMs >= LONG_PAUSE_MS || ++this.#stable < STABLE_SAMPLES) return;
    this.#pauseMs *= PAUSE_GROWTH;
    this.#stable = 0;
  }
}
