/** Fields as a mesh carries them, for all codecs alike. */
import { HeaderField, headerName, internField } from "../../../src/wire/header-field.ts";
import type { ListLimits } from "../../../src/wire/hpack/decoder.ts";
import {
  H2_FIELDS_PER_BLOCK,
  H2_HEADER_LIST_ABUSE_FACTOR,
  H2_HEADER_LIST_BYTES,
} from "../../../src/wire/limits.ts";

/** What a connection of ours takes by default. */
export const LIMITS: ListLimits = {
  bytes: H2_HEADER_LIST_BYTES,
  abuseBytes: H2_HEADER_LIST_BYTES * H2_HEADER_LIST_ABUSE_FACTOR,
  fields: H2_FIELDS_PER_BLOCK,
};

/** A value that differs from request to request; its last digits are for an `Odometer`. */
export const REQUEST_ID = "4f1c9ab2-77d0-4b6e-9d53-000000000000";

/** A field that peers indexed: the same object on every connection. */
export function shared(name: string, value: string): HeaderField {
  return internField(headerName(name), value);
}

/** A field of one message alone. */
export function fresh(name: string, value: string): HeaderField {
  return new HeaderField(headerName(name), value);
}

/** `name: value` of each. */
export function lines(fields: readonly HeaderField[]): string[] {
  return fields.map(({ name, value }) => `${name.text}: ${value}`);
}

/** A unary gRPC request, pseudo-header fields first. */
export const GRPC_REQUEST: readonly HeaderField[] = [
  shared(":method", "POST"),
  shared(":scheme", "http"),
  shared(":authority", "web.shop.svc.cluster.local:8080"),
  shared(":path", "/shop.v1.Catalog/GetProduct"),
  shared("te", "trailers"),
  shared("content-type", "application/grpc"),
  shared("user-agent", "grpc-go/1.64.0"),
  shared("grpc-accept-encoding", "identity,deflate,gzip"),
];

/** What a gRPC server answers with. */
export const GRPC_RESPONSE: readonly HeaderField[] = [
  shared(":status", "200"),
  shared("content-type", "application/grpc"),
  shared("grpc-encoding", "identity"),
  shared("server", "shop"),
];
