import { ProxyError } from "../errors/proxy-error.ts";

/** What a request gets for which there is no place among those that wait for response headers (LIM-23). */
export function tooManyInFlight(): ProxyError {
  return new ProxyError("loadshed", "too many requests in flight", { side: "proxy" });
}
