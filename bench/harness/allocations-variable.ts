/** Tells allocations.ts, in the proxy's process, where to write. A file of its own: that one acts when it is loaded. */
export const ALLOCATIONS_DIR_VARIABLE = "OUTRIGGER_BENCH_ALLOCATIONS_DIR";
export const ALLOCATIONS_SUFFIX = ".heapprofile";
