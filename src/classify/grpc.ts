import type { Classification } from "./http.ts";

/** Status codes by number. Source: gRPC, doc/statuscodes.md. */
const NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** Also what a status that is missing or cannot be read counts as. */
export const GRPC_UNKNOWN = 2;
const GRPC_RESOURCE_EXHAUSTED = 8;

/** The canonical name of a code, `UNKNOWN` for numbers that have none: the value of the metric label `grpc_status`. */
export function grpcStatusName(code: number): string {
  return NAMES[code] ?? "UNKNOWN";
}

/**
 * Reads `grpc-status`; undefined for what is no code at all. Breakers and metrics take that for `GRPC_UNKNOWN`.
 *
 * Source: gRPC, doc/statuscodes.md; tonic, tonic/src/status.rs (Code::from_bytes).
 */
export function parseGrpcStatus(text: string): number | undefined {
  if (!/^(?:[0-9]|1[0-6])$/.test(text)) return undefined;
  return Number(text);
}

/** Unknown, DeadlineExceeded, PermissionDenied, Internal, Unavailable, DataLoss. */
const FAILURES: ReadonlySet<number> = new Set([2, 4, 7, 13, 14, 15]);

/**
 * Classifies the end of a gRPC response by `grpc-status`, from the head if it is there, else from the trailers. The HTTP
 * status does not matter.
 *
 * @param code undefined if the stream ended without one: a success, as when the client leaves a stream early.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/classify.rs.
 */
export function classifyGrpc(code: number | undefined): Classification {
  return code !== undefined && FAILURES.has(code) ? "failure" : "success";
}

/** Whether a response is a sign of overload to the success-rate breaker, though no failure: ResourceExhausted. */
export function isGrpcDegraded(code: number | undefined): boolean {
  return code === GRPC_RESOURCE_EXHAUSTED;
}
