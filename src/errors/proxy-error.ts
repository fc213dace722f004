/**
 * What went wrong, from the proxy's point of view. Closed: each code has a row in a rescue table or a reason not to.
 *
 * `canceled` is the far side losing interest, `h2_reset` carries the peer's code, `io` is every socket and TLS failure.
 */
export type ErrorCode =
  | "io"
  | "connect_timeout"
  | "tls_identity"
  | "canceled"
  | "h2_reset"
  | "h2_goaway"
  | "bad_message"
  | "upstream_closed"
  | "failfast"
  | "loadshed"
  | "route_not_found"
  | "unauthorized"
  | "rate_limited"
  | "redirected"
  | "injected_failure"
  | "fail_dispatcher"
  | "require_id"
  | "no_authority"
  | "invalid_policy"
  | "invalid_backend"
  | "pool_failed"
  | "loop"
  | "gateway_domain_invalid"
  | "gateway_loop"
  | "request_timeout"
  | "response_timeout"
  | "response_headers_timeout"
  | "profile_timeout"
  | "stream_idle_timeout"
  | "tls_detect_timeout"
  | "shutting_down"
  | "unexpected";

/** Names that layers add on the way up, outermost last, as they appear before the message: `backend X: endpoint Y: ...`. */
export interface ErrorDetail {
  readonly cause?: unknown;
  /** RFC 9113 error code, for `h2_reset` and `h2_goaway`. */
  readonly h2Code?: number;
  /** Who caused it: the connection towards the client, towards the server, or the proxy itself. */
  readonly side?: "downstream" | "upstream" | "proxy";
  /** HTTP status of `redirected` and `injected_failure`. */
  readonly status?: number;
  /** gRPC status of `injected_failure`. */
  readonly grpcStatus?: number;
  /** Target of `redirected`. */
  readonly location?: string;
}

/** The one error type of the data path. Its message is complete: outer layers prefix it, they do not replace it. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = NO_DETAIL) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.detail = detail;
  }

  /** The same error seen from one layer further out: `prefix: message`, the original kept as cause. */
  within(prefix: string): ProxyError {
    return new ProxyError(this.code, `${prefix}: ${this.message}`, { ...this.detail, cause: this });
  }
}

const NO_DETAIL: ErrorDetail = Object.freeze({});
