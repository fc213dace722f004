import type { GrpcMatch } from "../../policy/route-match.ts";
import type { GrpcRouteMatch } from "../../proto/gen/grpc_route_pb.js";
import { each } from "./field.ts";
import { headerMatchFromProto } from "./http-match.ts";

/**
 * A gRPC match. Without `rpc` it takes every method: controllers send it so for a GRPCRoute that names none, and
 * refusing the policy, as linkerd2-proxy does, would fail all traffic of the target.
 */
export function grpcMatchFromProto(match: GrpcRouteMatch): GrpcMatch {
  return {
    service: nonEmpty(match.rpc?.service),
    method: nonEmpty(match.rpc?.method),
    headers: each("headers", match.headers, headerMatchFromProto),
  };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
