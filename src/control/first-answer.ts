import { WatchCell, type Watch } from "../watch/watch.ts";
import { runWatchStream, type StreamMachineOptions } from "./watch-stream.ts";
import type { CallStatus } from "./stream.ts";

/** How a watch began: with a value, with a final status instead of one, or not before it was given up. */
export type FirstAnswer<T> =
  | { readonly kind: "watch"; readonly watch: Watch<T> }
  | { readonly kind: "final"; readonly status: CallStatus }
  | { readonly kind: "abandoned" };

/** Runs a watch stream and waits for its first word. Later values go to the watch; a later final status leaves it as it is. */
export function firstAnswer<Message, T>(
  options: Omit<StreamMachineOptions<Message>, "onMessage" | "onFatal">,
  valueOf: (message: Message) => T,
  onStopped: (status: CallStatus) => void,
): Promise<FirstAnswer<T>> {
  const { signal } = options;
  if (signal.aborted) return Promise.resolve({ kind: "abandoned" });
  return new Promise((resolve) => {
    let cell: WatchCell<T> | undefined;
    const abandon = (): void => resolve({ kind: "abandoned" });
    signal.addEventListener("abort", abandon, { once: true });
    runWatchStream<Message>({
      ...options,
      onMessage(message) {
        const value = valueOf(message);
        if (cell !== undefined) {
          cell.publish(value);
          return;
        }
        cell = new WatchCell(value);
        signal.removeEventListener("abort", abandon);
        resolve({ kind: "watch", watch: cell });
      },
      onFatal(status) {
        signal.removeEventListener("abort", abandon);
        if (cell === undefined) resolve({ kind: "final", status });
        else onStopped(status);
      },
    });
  });
}
