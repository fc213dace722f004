import type { AutocannonRequest } from "./autocannon-main.ts";
import { LoadChild } from "./load-child.ts";
import type { LoadResult } from "./load-spec.ts";

/**
 * Loads a port with autocannon: HTTP/1 in a closed loop, from a process of its own on the load's core. What it says of a
 * proxy is a second opinion, beside that of our own load.
 *
 * `loadBusy` is the processor time of that process: near 1 autocannon was the bottleneck, which on Node's sockets it soon is.
 *
 * @throws Error if nothing was answered.
 */
export async function runAutocannon(request: AutocannonRequest): Promise<LoadResult> {
  const child = new LoadChild("autocannon-main.ts");
  try {
    // The child is ours: it answers with the result of `measure` in autocannon-main.ts.
    return (await child.ask(request)) as LoadResult;
  } finally {
    child.stop();
  }
}
