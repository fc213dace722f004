import { LatencyRecord } from "./latency.ts";
import type { LoadResult } from "./load-spec.ts";
import { TailWindows } from "./tail-windows.ts";

/** What one run measured. */
export interface Measured {
  readonly requests: number;
  readonly errors: number;
  readonly milliseconds: number;
  readonly busyMilliseconds: number;
  readonly latency: LatencyRecord;
  readonly bodyBytes: number;
  readonly backgroundBytes: number;
  readonly cpuMicros: LoadResult["cpuMicros"];
}

/** What several runs on the same way have measured together. */
export class LoadRecord {
  /** Windows go on from one run to the next. */
  readonly windows = new TailWindows();
  readonly #latency = new LatencyRecord();
  readonly #cpuMicros: Record<string, number> = {};
  #requests = 0;
  #errors = 0;
  #milliseconds = 0;
  #busyMilliseconds = 0;
  #bodyBytes = 0;
  #backgroundBytes = 0;

  add(turn: Measured): void {
    this.#latency.add(turn.latency);
    for (const [name, micros] of Object.entries(turn.cpuMicros)) {
      this.#cpuMicros[name] = (this.#cpuMicros[name] ?? 0) + micros;
    }
    this.#requests += turn.requests;
    this.#errors += turn.errors;
    this.#milliseconds += turn.milliseconds;
    this.#busyMilliseconds += turn.busyMilliseconds;
    this.#bodyBytes += turn.bodyBytes;
    this.#backgroundBytes += turn.backgroundBytes;
  }

  get result(): LoadResult {
    return {
      requests: this.#requests,
      errors: this.#errors,
      seconds: this.#milliseconds / 1000,
      latency: this.#latency.latency,
      curve: this.#latency.curve,
      windowP99Micros: this.windows.p99Micros,
      bodyBytes: this.#bodyBytes,
      backgroundBytes: this.#backgroundBytes,
      cpuMicros: this.#cpuMicros,
      loadBusy: this.#busyMilliseconds / this.#milliseconds,
    };
  }
}
