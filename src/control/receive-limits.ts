import type { Clock, Timer } from "../time/clock.ts";
import { Code, type CallStatus, type OpenStream } from "./stream.ts";

/** How long one stream may be silent and how long it may live, in milliseconds; undefined is without limit. */
export interface ReceiveLimits {
  /** Until the first message. Without it `idleMs` plays its part. */
  readonly initialMs: number | undefined;
  /** Between messages. */
  readonly idleMs: number | undefined;
  /** From the call to its end. */
  readonly lifetimeMs: number | undefined;
}

/** For control planes on loopback, which linkerd2-proxy does not limit either. */
export const NO_LIMITS: ReceiveLimits = { initialMs: undefined, idleMs: undefined, lifetimeMs: undefined };

/**
 * Ends streams that overstay: with DEADLINE_EXCEEDED before the first message, in good order afterwards. Either way the
 * stream machine opens another, which may land on a healthier replica.
 *
 * Source: linkerd2-proxy, linkerd/tonic-stream/src/lib.rs.
 */
export function withReceiveLimits<T>(
  open: OpenStream<T>,
  limits: ReceiveLimits,
  clock: Clock,
): OpenStream<T> {
  return (events) => {
    let over = false;
    let silence: Timer | undefined;
    let lifetime: Timer | undefined;

    const finish = (): void => {
      over = true;
      silence?.cancel();
      lifetime?.cancel();
    };
    const cut = (code: number, message: string): void => {
      if (over) return;
      finish();
      stream.cancel();
      events.end({ code, message });
    };

    const { idleMs, lifetimeMs } = limits;
    const initialMs = limits.initialMs ?? idleMs;
    if (initialMs !== undefined) {
      silence = clock.after(initialMs, () =>
        cut(Code.DEADLINE_EXCEEDED, `no first message within ${initialMs}ms`),
      );
    }
    if (lifetimeMs !== undefined) {
      lifetime = clock.after(lifetimeMs, () =>
        cut(Code.OK, `stream reached its lifetime of ${lifetimeMs}ms`),
      );
    }
    const stream = open({
      message(value: T): void {
        if (over) return;
        silence?.cancel();
        silence =
          idleMs === undefined
            ? undefined
            : clock.after(idleMs, () => cut(Code.OK, `no message for ${idleMs}ms`));
        events.message(value);
      },
      end(status: CallStatus): void {
        if (over) return;
        finish();
        events.end(status);
      },
    });
    return {
      cancel(): void {
        if (over) return;
        finish();
        stream.cancel();
      },
    };
  };
}
