import type { Log } from "../log/log.ts";
import type { BackoffParams } from "../time/backoff.ts";
import type { Clock } from "../time/clock.ts";
import type { ControlClient } from "./control-client.ts";
import { withReceiveLimits, type ReceiveLimits } from "./receive-limits.ts";
import { Code, type CallStatus, type OpenStream } from "./stream.ts";

/** One service of the control plane as its streams see it. */
export interface StreamContext {
  readonly client: Pick<ControlClient, "serverStream" | "byteStream" | "unreachable">;
  readonly limits: ReceiveLimits;
  /** Between attempts of one stream. */
  readonly backoff: BackoffParams;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
}

/** What the stream machines take from a context, with the stream's own limits and its retries in the log. */
export function machineOptions<T>(context: StreamContext, open: OpenStream<T>, what: string) {
  const { clock, backoff, limits, log, random } = context;
  return {
    open: withReceiveLimits(open, limits, clock),
    clock,
    backoff,
    ...(random === undefined ? {} : { random }),
    onRetry(status: CallStatus, pauseMs: number): void {
      // The end of a stream's time is no event; what breaks the connection is told once, by the client.
      if (status.code === Code.OK || !log.enabled("debug")) return;
      log.debug(`${what} failed, trying again`, {
        code: status.code,
        error: status.message,
        retry_ms: Math.round(pauseMs),
      });
    },
  };
}
