import type { Log } from "../log/log.ts";
import type { Clock } from "../time/clock.ts";
import type { Watch } from "../watch/watch.ts";

/** Resolves when a watch first says so; never if `signal` aborts before. */
export function whenFirst(watch: Watch<boolean>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const seen = new AbortController();
    signal.addEventListener("abort", () => seen.abort(), { once: true });
    const check = (value: boolean): void => {
      if (!value) return;
      seen.abort();
      resolve();
    };
    watch.subscribe(seen.signal, check);
    check(watch.value);
  });
}

/** A proxy that waits in silence for its certificate looks like one that hangs. */
const WAITING_WARNING_MS = 15_000;

export function warnWhileWaiting(ready: Watch<boolean>, signal: AbortSignal, clock: Clock, log: Log): void {
  clock.after(WAITING_WARNING_MS, () => {
    if (ready.value || signal.aborted) return;
    log.warn("Waiting for identity to be initialized...");
    warnWhileWaiting(ready, signal, clock, log);
  });
}
