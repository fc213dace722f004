import type { ProxyError } from "../errors/proxy-error.ts";
import { unreachableAs } from "./rescue.ts";

/**
 * The value of the label `error` in `inbound_{http,tcp}_errors_total`; undefined for what has a metric of its own or is
 * no failure of the proxy.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/metrics/error.rs.
 */
export function errorLabel({ code }: ProxyError): string | undefined {
  switch (code) {
    case "unauthorized":
    case "route_not_found":
    case "rate_limited":
    case "redirected":
    case "injected_failure":
    case "canceled":
      return undefined;
    case "failfast":
      return "failfast";
    case "loadshed":
      return "loadshed";
    case "tls_detect_timeout":
      return "tls detection timeout";
    case "gateway_domain_invalid":
      return "gateway domain invalid";
    case "gateway_loop":
      return "gateway loop";
    case "io":
    case "upstream_closed":
      return "i/o";
    default:
      return "unexpected";
  }
}

/** The same for a request: an application that cannot be reached has answered it, and is counted by that. */
export function requestErrorLabel(error: ProxyError): string | undefined {
  return unreachableAs(error.code) === undefined ? errorLabel(error) : undefined;
}
