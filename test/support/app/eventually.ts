import { setTimeout as pause } from "node:timers/promises";

const PAUSE_MS = 10;

/**
 * Asks until the answer is yes.
 *
 * @returns after how many milliseconds it was.
 * @throws Error with the last answer, or what it failed with, once `withinMs` are over.
 */
export async function eventually(
  withinMs: number,
  ask: () => Promise<{ readonly yes: boolean; readonly found: unknown }>,
): Promise<number> {
  const startedAtMs = performance.now();
  for (;;) {
    const { yes, found } = await ask().catch((error: unknown) => ({ yes: false, found: error }));
    const elapsedMs = performance.now() - startedAtMs;
    if (yes && elapsedMs <= withinMs) return elapsedMs;
    if (elapsedMs > withinMs) throw new Error(`not within ${withinMs} ms: found ${String(found)}`);
    await pause(PAUSE_MS);
  }
}
