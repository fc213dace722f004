/** Signals that end the proxy, remembered from the moment of watching. */
export interface Signals {
  /** Calls `f` with the name of the first SIGTERM or SIGINT: at once if it has come already, and never twice. */
  onShutdown(f: (signal: string) => void): void;
}

const nothing = (): void => {};

/**
 * Takes the process's signals over.
 *
 * As process 1 of a container nothing would end us otherwise, and a signal that comes before the proxy is built must not
 * be lost. A second signal changes nothing: only SIGKILL cuts a drain short. SIGHUP would end a process without a handler,
 * and SIGUSR1 would open Node's debugger to the host.
 *
 * Source: linkerd2-proxy, linkerd/signal/src/lib.rs.
 */
export function watchSignals(): Signals {
  let received: string | undefined;
  let listener: ((signal: string) => void) | undefined;
  const onSignal = (signal: string): void => {
    if (received !== undefined) return;
    received = signal;
    listener?.(signal);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  process.on("SIGHUP", nothing);
  process.on("SIGUSR1", nothing);
  return {
    onShutdown: (f) => {
      listener = f;
      if (received !== undefined) f(received);
    },
  };
}
