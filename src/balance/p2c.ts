import type { Loaded } from "./load.ts";

/**
 * Power of two choices: draws two and takes the less loaded, the first drawn if they are equal.
 *
 * Nearly as even as looking at all of them, for the price of two, and without the herd that runs after the one best.
 *
 * @param random uniform in [0, 1); called twice if there is a choice.
 * @returns an index into `ready`, -1 if it is empty.
 *
 * Source: linkerd2-proxy, linkerd/pool/p2c/src/lib.rs.
 */
export function pickP2c(ready: readonly Loaded[], nowMs: number, random: () => number): number {
  const count = ready.length;
  if (count < 2) return count - 1;
  const a = Math.floor(random() * count);
  let b = Math.floor(random() * (count - 1));
  // Drawn from the others: those after `a` move up by one.
  if (b >= a) b++;
  return loadAt(ready, a, nowMs) <= loadAt(ready, b, nowMs) ? a : b;
}

function loadAt(ready: readonly Loaded[], index: number, nowMs: number): number {
  return ready[index]?.load(nowMs) ?? Infinity;
}
