import autocannon from "autocannon";
import type { LoadResult, LoadTarget } from "./load-result.ts";

/** HTTP/1 by autocannon: a closed loop over keep-alive connections. */
export async function loadHttp1(target: LoadTarget, seconds: number): Promise<LoadResult> {
  const result = await autocannon({
    url: `http://127.0.0.1:${target.port}${target.path}`,
    connections: target.connections,
    duration: seconds,
  });
  return {
    requests: result.requests.total,
    errors: result.errors + result.non2xx,
    seconds: result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  };
}
