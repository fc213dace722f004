import { threadCpuMs } from "./kernel.ts";

/** How long a stretch is of which it is known whether there was a stall in it. */
const STRETCH_MS = 5;
/** Lost in one stretch: more than the interrupts of a machine take. */
const STALL_MS = 0.25;

/** What is known of the stretch that has just ended; undefined while it lasts. */
export type Stretch = "quiet" | "stalled" | undefined;

/**
 * Notices when this thread, which never sleeps, was kept from running: by the hypervisor, whose time the kernel leaves out of
 * a thread's, or by somebody else on its core. Time that it worked is not lost, however long a burst of answers took it.
 */
export class Stalls {
  #sinceMs: number;
  #workedMs = threadCpuMs();

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** @param nowMs of `performance.now`. Cheap enough for every turn of a loop. */
  look(nowMs: number): Stretch {
    const passedMs = nowMs - this.#sinceMs;
    if (passedMs < STRETCH_MS) return undefined;
    const worked = threadCpuMs();
    const lostMs = passedMs - (worked - this.#workedMs);
    this.#sinceMs = nowMs;
    this.#workedMs = worked;
    return lostMs > STALL_MS ? "stalled" : "quiet";
  }
}
