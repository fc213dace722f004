import { MESSAGE_MAX_BYTES } from "./control-client.ts";
import { Code, type CallStatus, type OpenStream } from "./stream.ts";

/** Work on one message in steps, each short enough for one turn of the event loop; the last one gives the result. */
export type Steps<T> = Generator<undefined, T>;

/** Bytes that may wait while a message is being worked on; beyond it the stream is given up. */
const WAITING_MAX_BYTES = 2 * MESSAGE_MAX_BYTES;

/**
 * A stream whose messages are worked on step by step, with a turn of the event loop after each step. Order is kept, and
 * the end waits for the messages before it. Work that is done in one step costs no turn.
 *
 * @param work throws on a message that is none; the stream then ends with INTERNAL.
 */
export function inTurns<T>(
  open: OpenStream<Uint8Array>,
  work: (message: Uint8Array) => Steps<T>,
): OpenStream<T> {
  return (events) => {
    const waiting: Uint8Array[] = [];
    let waitingBytes = 0;
    let running: Steps<T> | undefined;
    let ended: CallStatus | undefined;
    let over = false;
    let stream: { cancel(): void } | undefined;

    const finish = (status: CallStatus): void => {
      over = true;
      stream?.cancel();
      events.end(status);
    };

    function run(): void {
      for (;;) {
        if (over) return;
        if (running === undefined) {
          const next = waiting.shift();
          if (next === undefined) {
            if (ended !== undefined) finish(ended);
            return;
          }
          waitingBytes -= next.length;
          running = work(next);
        }
        let step: IteratorResult<undefined, T>;
        try {
          step = running.next();
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          finish({ code: Code.INTERNAL, message: `unreadable message: ${message}` });
          return;
        }
        if (step.done !== true) {
          setImmediate(run);
          return;
        }
        running = undefined;
        events.message(step.value);
      }
    }

    stream = open({
      message(bytes: Uint8Array): void {
        if (over) return;
        waiting.push(bytes);
        waitingBytes += bytes.length;
        if (waitingBytes > WAITING_MAX_BYTES) {
          finish({ code: Code.INTERNAL, message: `more than ${WAITING_MAX_BYTES} bytes wait to be read` });
        } else if (running === undefined) {
          run();
        }
      },
      end(status: CallStatus): void {
        ended = status;
        if (running === undefined) run();
      },
    });
    return {
      cancel(): void {
        over = true;
        stream.cancel();
      },
    };
  };
}
