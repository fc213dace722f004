import { grpcRouteTable, httpRouteTable, type RouteMatch } from "../policy/find-route.ts";
import { RateLimiter } from "../policy/rate-limit.ts";
import type { RequestView } from "../policy/request-view.ts";
import type {
  GrpcServerRoute,
  HttpServerRoute,
  LocalRateLimit,
  ServerPolicy,
} from "../policy/server-policy.ts";

export type ServerRouteMatch = RouteMatch<HttpServerRoute | GrpcServerRoute>;

/** The policy of one port, ready to be asked: immutable but for the state of its rate limits. */
export interface PortPolicy {
  readonly policy: ServerPolicy;
  readonly isGrpc: boolean;
  /** Undefined for requests that match no route, and for every request under a policy that knows no HTTP. */
  readonly find: (request: RequestView) => ServerRouteMatch | undefined;
  readonly rateLimit: { readonly params: LocalRateLimit; readonly limiter: RateLimiter } | undefined;
}

/** @param previous what the port had before: rate limits that did not change go on counting where they were. */
export function portPolicy(policy: ServerPolicy, previous: PortPolicy | undefined): PortPolicy {
  const { protocol } = policy;
  switch (protocol.kind) {
    case "detect":
    case "http1":
    case "http2": {
      const table = httpRouteTable(protocol.routes);
      const params = protocol.rateLimit;
      const limiter = params && new RateLimiter(params, previous?.rateLimit?.limiter);
      return {
        policy,
        isGrpc: false,
        find: (request) => table.find(request),
        rateLimit: params && limiter && { params, limiter },
      };
    }
    case "grpc": {
      const table = grpcRouteTable(protocol.routes);
      return { policy, isGrpc: true, find: (request) => table.find(request), rateLimit: undefined };
    }
    case "opaque":
    case "tls":
      return { policy, isGrpc: false, find: () => undefined, rateLimit: undefined };
    default:
      return protocol satisfies never;
  }
}
