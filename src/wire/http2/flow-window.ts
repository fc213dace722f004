/**
 * Flow-control windows. Sending windows are plain signed numbers (a peer may shrink them below zero); a receiving window
 * also knows what it owes the peer.
 *
 * Source: RFC 9113 section 6.9.
 */
import { STREAM_ID_MAX } from "./frame.ts";

/** The largest window. */
export const WINDOW_MAX = STREAM_ID_MAX;
/** Every stream and connection starts with this, until SETTINGS or WINDOW_UPDATE say otherwise. */
export const WINDOW_DEFAULT = 65_535;

/** Whether `window` may grow by `increment` (which may be negative). */
export function canGrow(window: number, increment: number): boolean {
  return window + increment <= WINDOW_MAX;
}

/** What a peer may still send on one stream or connection, and the credit that is not yet announced. */
export class ReceiveWindow {
  /** Bytes the peer may still send; below zero it has broken the rules. */
  left: number;
  /** Bytes passed on and not yet announced in a WINDOW_UPDATE. */
  owed = 0;
  /** Announce once this much is owed: often enough that the peer never waits for it, rarely enough to cost little. */
  batch: number;

  constructor(size: number, batch: number) {
    this.left = size;
    this.batch = batch;
  }

  /** Notes `bytes` as received; false if they were more than granted. */
  take(bytes: number): boolean {
    this.left -= bytes;
    return this.left >= 0;
  }

  /** Notes `bytes` as passed on. Returns the increment to announce now, or 0. */
  give(bytes: number): number {
    this.owed += bytes;
    if (this.owed < this.batch) return 0;
    const increment = this.owed;
    this.owed = 0;
    this.left += increment;
    return increment;
  }

  /** The window is `bytes` larger from now on, and credit is announced in larger pieces. */
  grow(bytes: number, batch: number): void {
    this.left += bytes;
    this.batch = batch;
  }
}
