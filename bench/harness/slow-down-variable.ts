/** Tells slow-down.ts, in the proxy's process, how many microseconds. A file of its own: that one acts when it is loaded. */
export const SLOW_DOWN_VARIABLE = "OUTRIGGER_BENCH_SLOW_DOWN_MICROS";
