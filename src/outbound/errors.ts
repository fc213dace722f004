import type { ProxyError } from "../errors/proxy-error.ts";

/**
 * The value of the label `error` in `outbound_{http,tcp}_errors_total`; undefined for what is no failure of the proxy.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/metrics.rs.
 */
export function errorLabel({ code }: ProxyError): string | undefined {
  switch (code) {
    case "redirected":
    case "injected_failure":
    case "canceled":
      return undefined;
    case "io":
    case "upstream_closed":
    case "connect_timeout":
    case "tls_identity":
      return "i/o";
    case "require_id":
      return "identity required";
    case "failfast":
      return "failfast";
    case "response_timeout":
    case "response_headers_timeout":
    case "profile_timeout":
    case "request_timeout":
      return "response timeout";
    case "loadshed":
      return "loadshed";
    default:
      return "unexpected";
  }
}
