/**
 * Flags of the runtime that a proxy runs with; package.json has the same.
 *
 * `--single-threaded-gc`: a sidecar has one core, or less. Helper threads of the garbage collector would compete for it with
 * the thread that waits for them (bench: pair-http2-steady, the median p99 falls from 0.98 to 0.71 ms, on HTTP/1 from
 * 1.27 to 0.57 ms, with the same CPU per request).
 *
 * `--disable-sigusr1`: that signal would open a debugger to whoever shares the host, before `signals.ts` takes it over.
 */
export const PROXY_RUNTIME_FLAGS: readonly string[] = [
  "--disable-warning=ExperimentalWarning",
  "--single-threaded-gc",
  "--disable-sigusr1",
];
