import { Backoff } from "../time/backoff.ts";
import type { Timer } from "../time/clock.ts";
import type { EndpointUpdate } from "../policy/endpoint.ts";
import type { CallStatus } from "./stream.ts";
import type { StreamMachineOptions } from "./watch-stream.ts";

/**
 * Keeps a stream of endpoint changes open and makes one sequence of changes of them, in which an outage is invisible.
 *
 * ```
 * connecting  a failure waits the next pause of the backoff, then connects again
 * fresh       connected, but the set may be a former stream's: the first `add` replaces it whole, a `remove` says nothing
 * current     changes apply one by one
 * fresh or current: a failure or end waits a pause of a fresh backoff; meanwhile the set stays as it is
 * any         a fatal status stops the machine
 * ```
 *
 * Unlike `runWatchStream` it always pauses: what it would gain at once is only what it has already.
 *
 * @param options `onMessage` gets each change that is worth applying.
 *
 * Source: linkerd2-proxy, linkerd/proxy/resolve/src/recover.rs.
 */
export function runResolutionStream(options: StreamMachineOptions<EndpointUpdate>): void {
  const { open, isFatal, clock, signal } = options;
  const backoff = new Backoff(options.backoff, options.random);
  let stream: { cancel(): void } | undefined;
  let pause: Timer | undefined;

  function connect(): void {
    pause = undefined;
    let fresh = true;
    let over = false;
    const opened = open({
      message(update: EndpointUpdate): void {
        if (signal.aborted) return;
        backoff.reset();
        if (update.kind === "remove" && (fresh || update.addrs.length === 0)) return;
        if (update.kind === "add" && update.endpoints.length === 0) return;
        const replaces = fresh && update.kind === "add";
        fresh = false;
        options.onMessage(replaces ? { kind: "reset", endpoints: update.endpoints } : update);
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
        const pauseMs = backoff.next();
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
