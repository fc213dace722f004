import type { NameAddr } from "../addr/name-addr.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Filter } from "./filter.ts";
import type { Meta } from "./meta.ts";
import type { GrpcMatch, HttpMatch, Regex, Route } from "./route-match.ts";

/** Outbound policy of one target, as the control plane says it or as synthesised without it. Immutable. */
export interface ClientPolicy {
  readonly parent: Meta;
  readonly protocol: ClientProtocol;
}

export type ClientProtocol =
  | {
      readonly kind: "detect";
      readonly timeoutMs: number;
      readonly http1: HttpClientRoutes;
      readonly http2: HttpClientRoutes;
      readonly opaque: OpaqueClientRoute | undefined;
    }
  | { readonly kind: "http1"; readonly http1: HttpClientRoutes }
  | { readonly kind: "http2"; readonly http2: HttpClientRoutes }
  | { readonly kind: "grpc"; readonly grpc: GrpcClientRoutes }
  | { readonly kind: "opaque"; readonly opaque: OpaqueClientRoute | undefined }
  | { readonly kind: "tls"; readonly routes: readonly TlsClientRoute[] };

export interface HttpClientRoutes {
  readonly routes: readonly HttpClientRoute[];
  readonly failureAccrual: FailureAccrual | undefined;
}
export interface GrpcClientRoutes {
  readonly routes: readonly GrpcClientRoute[];
  readonly failureAccrual: FailureAccrual | undefined;
}

interface ClientRoute<Match, Retry> extends Route<Match, ClientRule<Match, Retry>> {
  readonly meta: Meta;
}
export interface HttpClientRoute extends ClientRoute<HttpMatch, HttpRetry> {}
export interface GrpcClientRoute extends ClientRoute<GrpcMatch, GrpcRetry> {}

export interface ClientRule<Match, Retry> {
  readonly matches: readonly Match[];
  readonly filters: readonly Filter[];
  readonly distribution: Distribution;
  readonly timeouts: Timeouts;
  readonly retry: Retry | undefined;
  readonly allowL5dRequestHeaders: boolean;
}

/** Undefined means no limit. */
export interface Timeouts {
  readonly requestMs: number | undefined;
  readonly responseMs: number | undefined;
  readonly idleMs: number | undefined;
}

interface RetryParams {
  readonly maxRetries: number;
  readonly maxRequestBytes: number;
  readonly timeoutMs: number | undefined;
  readonly backoff: BackoffPolicy | undefined;
}
export interface HttpRetry extends RetryParams {
  /** Inclusive. Empty: retry on errors only, never on a status. */
  readonly statusRanges: readonly { readonly low: number; readonly high: number }[];
}
export interface GrpcRetry extends RetryParams {
  readonly codes: ReadonlySet<number>;
}

export interface BackoffPolicy {
  readonly minMs: number;
  readonly maxMs: number;
  readonly jitter: number;
}

export type FailureAccrual =
  | { readonly kind: "consecutive"; readonly maxFailures: number; readonly backoff: BackoffPolicy }
  | {
      readonly kind: "unified";
      readonly successRateThreshold: number;
      readonly windowMs: number;
      readonly minRequests: number;
      readonly maxConsecutiveFailures: number;
      readonly backoff: BackoffPolicy;
    };

/** @typeParam F the filters of its backends. */
export type Distribution<F = Filter> =
  | { readonly kind: "empty" }
  | { readonly kind: "first_available"; readonly backends: readonly RouteBackend<F>[] }
  | {
      readonly kind: "random_available";
      readonly backends: readonly (RouteBackend<F> & { readonly weight: number })[];
    };

export interface RouteBackend<F = Filter> {
  readonly backend: Backend;
  readonly filters: readonly F[];
}

export interface Backend {
  readonly meta: Meta;
  readonly dispatcher: Dispatcher;
}

export type Dispatcher =
  | { readonly kind: "balance"; readonly path: NameAddr; readonly load: LoadParams }
  | { readonly kind: "forward"; readonly endpoint: Endpoint }
  | { readonly kind: "fail"; readonly message: string };

export type LoadParams =
  | { readonly kind: "peak_ewma"; readonly defaultRttMs: number; readonly decayMs: number }
  | {
      readonly kind: "penalty_peak_ewma";
      readonly defaultRttMs: number;
      readonly decayMs: number;
      readonly penaltyMs: number;
      readonly maxRetryAfterMs: number;
    };

export type OpaqueFilter =
  | { readonly kind: "forbidden" }
  | { readonly kind: "invalid"; readonly message: string }
  | { readonly kind: "internal_error"; readonly message: string };

export interface OpaqueClientRoute {
  readonly meta: Meta;
  readonly filters: readonly OpaqueFilter[];
  readonly distribution: Distribution<OpaqueFilter>;
}

export type SniMatch =
  | { readonly kind: "exact"; readonly name: string }
  | { readonly kind: "suffix"; readonly reverseLabels: readonly string[] };

export interface TlsClientRoute {
  readonly meta: Meta;
  readonly snis: readonly SniMatch[];
  readonly filters: readonly OpaqueFilter[];
  readonly distribution: Distribution<OpaqueFilter>;
}

/** The older ServiceProfile, as GetProfile tells it. */
export interface Profile {
  /** Logical name with the looked-up port; undefined if the controller gave none. */
  readonly logical: NameAddr | undefined;
  readonly opaqueProtocol: boolean;
  readonly endpoint: Endpoint | undefined;
  readonly routes: readonly ProfileRoute[];
  readonly targets: readonly { readonly addr: NameAddr; readonly weight: number }[];
  readonly retryBudget: RetryBudget | undefined;
}

export interface RetryBudget {
  readonly retryRatio: number;
  readonly minRetriesPerSecond: number;
  readonly ttlMs: number;
}

export interface ProfileRoute {
  readonly condition: RequestMatch;
  readonly labels: readonly (readonly [string, string])[];
  readonly responseClasses: readonly { readonly condition: ResponseMatch; readonly isFailure: boolean }[];
  readonly isRetryable: boolean;
  readonly timeoutMs: number | undefined;
}

export type RequestMatch =
  | { readonly kind: "all"; readonly of: readonly RequestMatch[] }
  | { readonly kind: "any"; readonly of: readonly RequestMatch[] }
  | { readonly kind: "not"; readonly of: RequestMatch }
  | { readonly kind: "path"; readonly regex: Regex }
  | { readonly kind: "method"; readonly method: string };

export type ResponseMatch =
  | { readonly kind: "all"; readonly of: readonly ResponseMatch[] }
  | { readonly kind: "any"; readonly of: readonly ResponseMatch[] }
  | { readonly kind: "not"; readonly of: ResponseMatch }
  | { readonly kind: "status"; readonly low: number; readonly high: number };
