/** What a response head says about its endpoint's health, for balancers that count failures as load. */
export type FailureKind = "internal" | "rate_limited" | "unavailable";

const GRPC_KINDS: ReadonlyMap<number, FailureKind> = new Map([
  [2, "internal"],
  [4, "internal"],
  [8, "rate_limited"],
  [13, "internal"],
  [14, "unavailable"],
  [15, "internal"],
]);

/**
 * Reads the hint in a response head, undefined if there is none.
 *
 * @param grpcStatus from the head of a response of content-type `application/grpc`, else undefined. What comes in
 * trailers is too late to count.
 *
 * Source: linkerd2-proxy, linkerd/load-biaser/src/lib.rs.
 */
export function failureHint(status: number, grpcStatus: number | undefined): FailureKind | undefined {
  if (status === 429) return "rate_limited";
  if (status === 503) return "unavailable";
  if (status >= 500 && status <= 599) return "internal";
  return status === 200 && grpcStatus !== undefined ? GRPC_KINDS.get(grpcStatus) : undefined;
}
