import { GRPC_UNKNOWN, parseGrpcStatus } from "../classify/grpc.ts";
import { GRPC_STATUS } from "../headers.ts";
import { findField, headerName, type HeaderField } from "../wire/header-field.ts";

/**
 * The gRPC code that a head or trailers tell, undefined if they tell none. A status that cannot be read is one that nobody
 * knows: `GRPC_UNKNOWN`, a failure. Metrics and breakers both ask here.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/classify.rs.
 */
export function grpcCodeOf(fields: readonly HeaderField[]): number | undefined {
  const field = findField(fields, GRPC_STATUS_NAME);
  return field === undefined ? undefined : (parseGrpcStatus(field.value) ?? GRPC_UNKNOWN);
}

const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
