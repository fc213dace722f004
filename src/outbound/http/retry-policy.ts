import { parseGrpcStatus } from "../../classify/grpc.ts";
import type { ProxyError } from "../../errors/proxy-error.ts";
import { GRPC_STATUS } from "../../headers.ts";
import type { ResponseHead } from "../../http/message.ts";
import type { BackoffPolicy, GrpcRetry, HttpRetry } from "../../policy/client-policy.ts";
import { findField, headerName, type HeaderField } from "../../wire/header-field.ts";
import { H2Code } from "../../wire/http2/error-code.ts";

/** Inclusive. */
export interface StatusRange {
  readonly low: number;
  readonly high: number;
}

/** How one request is retried: what its rule says, as changed by the headers of the request. */
export interface RetryPolicy {
  /** Undefined where HTTP statuses are not looked at. */
  readonly statusRanges: readonly StatusRange[] | undefined;
  /** gRPC codes; undefined where they are not looked at. */
  readonly codes: ReadonlySet<number> | undefined;
  readonly maxRetries: number;
  readonly maxRequestBytes: number;
  /** For the response head of each attempt but the last. */
  readonly timeoutMs: number | undefined;
  /** Undefined: no pause between attempts. */
  readonly backoff: BackoffPolicy | undefined;
}

export function retryPolicyOf(retry: HttpRetry | GrpcRetry): RetryPolicy {
  const { maxRetries, maxRequestBytes, timeoutMs, backoff } = retry;
  const isHttp = "statusRanges" in retry;
  return {
    statusRanges: isHttp ? retry.statusRanges : undefined,
    codes: isHttp ? undefined : retry.codes,
    maxRetries,
    maxRequestBytes,
    timeoutMs,
    backoff,
  };
}

/**
 * Whether a response head asks for a retry. `peek`: only the trailers can tell, if they come soon enough. Methods do not
 * matter.
 *
 * The model peeks at every HTTP/2 response; here only one whose trailers can still change the answer has to wait.
 *
 * Source: outbound 8.2, 8.4; linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/retry.rs.
 */
export function judgeHead(
  { codes, statusRanges }: RetryPolicy,
  { status, version, fields }: ResponseHead,
  last: boolean,
): "retry" | "final" | "peek" {
  const told = codes === undefined ? undefined : findField(fields, GRPC_STATUS_NAME);
  if (codes !== undefined && told !== undefined && names(codes, told.value)) return "retry";
  if (statusRanges?.some(({ low, high }) => low <= status && status <= high) === true) return "retry";
  // HTTP/1 responses are not waited for: few have trailers.
  return codes !== undefined && told === undefined && version === 20 && !last ? "peek" : "final";
}

/** Whether trailers ask for a retry, of a response whose head left it open. */
export function areRetryableTrailers({ codes }: RetryPolicy, fields: readonly HeaderField[]): boolean {
  const told = findField(fields, GRPC_STATUS_NAME);
  return codes !== undefined && told !== undefined && names(codes, told.value);
}

/**
 * Whether an attempt that brought no response is worth another: another backend may be out of failfast, another endpoint
 * quicker, and a server that refused a stream has not looked at it. Endpoints that cannot be reached have made responses of
 * that already, which are judged by their status.
 */
export function isRetryableError({ code, detail }: ProxyError): boolean {
  switch (code) {
    case "failfast":
    case "response_headers_timeout":
      return true;
    case "h2_reset":
      return detail.h2Code === H2Code.refusedStream;
    // Only streams that the server has not looked at end so.
    case "h2_goaway":
      return true;
    default:
      return false;
  }
}

function names(codes: ReadonlySet<number>, status: string): boolean {
  const code = parseGrpcStatus(status);
  return code !== undefined && codes.has(code);
}

const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
