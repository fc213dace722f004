import { loadHttp1 } from "./http1-load.ts";
import { loadHttp2 } from "./http2-load.ts";
import type { LoadResult, LoadTarget } from "./load-result.ts";

/** Loads an address with the generator for its protocol. */
export function load(target: LoadTarget, seconds: number): Promise<LoadResult> {
  return target.protocol === "http1" ? loadHttp1(target, seconds) : loadHttp2(target, seconds);
}
