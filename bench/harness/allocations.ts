/**
 * Loaded into our proxies by `npm run profile`: samples what they allocate, also what is collected again, and writes it
 * when the process ends in order.
 */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import { ALLOCATIONS_DIR_VARIABLE, ALLOCATIONS_SUFFIX } from "./allocations-variable.ts";

/** Bytes between samples on average: fine enough for functions that matter, and cheap. */
const SAMPLING_BYTES = 16 * 1024;

const dir = process.env[ALLOCATIONS_DIR_VARIABLE];
if (dir !== undefined) {
  const session = new Session();
  session.connect();
  session.post("HeapProfiler.startSampling", {
    samplingInterval: SAMPLING_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  process.on("exit", () => {
    // Within one thread the inspector answers before `post` returns.
    session.post("HeapProfiler.stopSampling", (error, result) => {
      if (error !== null) return;
      writeFileSync(join(dir, `${process.pid}${ALLOCATIONS_SUFFIX}`), JSON.stringify(result.profile));
    });
  });
}
