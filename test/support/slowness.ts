/** What the work below costs a core of a current server, in microseconds of processor time. */
const REFERENCE_MICROS = 20_000;
const WARM_UPS = 3;
const RUNS = 5;

/**
 * How many times slower this machine is now than a current server; 1 for one that is faster. Limits of processor time are
 * set for the latter: a test multiplies its own by this, so that it judges the code and not the machine it runs on.
 */
export function slowness(): number {
  for (let i = 0; i < WARM_UPS; i++) work();
  const costs = Array.from({ length: RUNS }, cost).sort((a, b) => a - b);
  return Math.max(1, (costs[Math.floor(RUNS / 2)] ?? 0) / REFERENCE_MICROS);
}

function cost(): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Strings, hashing and garbage, as proxies have them. */
function work(): number {
  const counts = new Map<string, number>();
  for (let i = 0; i < 200_000; i++) {
    const key = `key ${i % 5_000}`;
    counts.set(key, (counts.get(key) ?? 0) + i);
  }
  return counts.size;
}
