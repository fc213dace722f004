/** Whether a response counts as the service doing its job. The values are those of the metric label. */
export type Classification = "success" | "failure";

/** What a response counts as: in metrics, and for retries. */
export interface Outcome {
  readonly classification: Classification;
  /** Decimal code where it was gRPC that decided, else "". */
  readonly grpcStatus: string;
}

/**
 * Classifies an HTTP response: 5xx is failure. What a client did wrong (4xx, and 429 too) is no failure of the service.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/classify.rs.
 */
export function classifyHttp(status: number): Classification {
  return status >= 500 && status <= 599 ? "failure" : "success";
}

/** Whether a response is a sign of overload to the success-rate breaker, though no failure: 429. */
export function isHttpDegraded(status: number): boolean {
  return status === 429;
}
