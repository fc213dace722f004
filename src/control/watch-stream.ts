import { Backoff, type BackoffParams } from "../time/backoff.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { CallStatus, IsFatal, OpenStream } from "./stream.ts";

/** What a stream machine needs besides the stream itself. */
export interface StreamMachineOptions<T> {
  readonly open: OpenStream<T>;
  readonly isFatal: IsFatal;
  readonly clock: Clock;
  readonly backoff: BackoffParams;
  readonly random?: () => number;
  /** Aborted when nobody holds the result any more: the stream is cancelled and nothing is called again. */
  readonly signal: AbortSignal;
  onMessage(value: T): void;
  /** The last call of all: the status is final. What was received before stays true. */
  onFatal(status: CallStatus): void;
  /** The stream failed or ended, and another is opened after `pauseMs`. For logs and counters. */
  onRetry?(status: CallStatus, pauseMs: number): void;
}

/**
 * Keeps a stream open whose every message replaces the former.
 *
 * ```
 * opening  a first message makes it live; a failure waits the next pause of the backoff, then opens again
 * live     a failure or end opens again at once; the backoff starts afresh and counts only if that fails too
 * either   a fatal status stops the machine
 * ```
 *
 * "At once" has a floor: streams are opened no closer together than the shortest pause, so that a server which sends
 * one message and hangs up cannot make the proxy spin.
 *
 * Source: linkerd2-proxy, linkerd/tonic-watch/src/lib.rs.
 */
export function runWatchStream<T>(options: StreamMachineOptions<T>): void {
  const { open, isFatal, clock, signal } = options;
  const backoff = new Backoff(options.backoff, options.random);
  let stream: { cancel(): void } | undefined;
  let pause: Timer | undefined;

  function connect(): void {
    pause = undefined;
    const openedAtMs = clock.nowMs();
    let live = false;
    let over = false;
    const opened = open({
      message(value: T): void {
        if (signal.aborted) return;
        live = true;
        backoff.reset();
        options.onMessage(value);
      },
      end(status: CallStatus): void {
        over = true;
        stream = undefined;
        if (signal.aborted) return;
        if (isFatal(status.code)) {
          signal.removeEventListener("abort", stop);
          options.onFatal(status);
          return;
        }
        const floorMs = Math.max(0, options.backoff.minMs - (clock.nowMs() - openedAtMs));
        const pauseMs = live ? floorMs : backoff.next();
        pause = clock.after(pauseMs, connect);
        options.onRetry?.(status, pauseMs);
      },
    });
    if (!over) stream = opened;
  }

  function stop(): void {
    pause?.cancel();
    stream?.cancel();
  }

  if (signal.aborted) return;
  signal.addEventListener("abort", stop, { once: true });
  connect();
}
