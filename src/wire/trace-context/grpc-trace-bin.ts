import { SPAN_ID_BYTES, TRACE_ID_BYTES, type TraceContext } from "./trace-context.ts";

/** Fields of the binary form: a number, then as many bytes. */
const TRACE_ID = 0;
const SPAN_ID = 1;
const OPTIONS = 2;
const LENGTHS = new Map([
  [TRACE_ID, TRACE_ID_BYTES],
  [SPAN_ID, SPAN_ID_BYTES],
  [OPTIONS, 1],
]);

/**
 * Reads the binary form that gRPC libraries with OpenCensus send: a version, whatever it is, then fields. A field that is
 * not known ends it, one that is cut off spoils it, and without both identifiers there is nothing to go on from.
 *
 * Base64 may lack its padding, as gRPC asks receivers to bear; otherwise it is strict.
 *
 * Source: linkerd2-proxy, linkerd/trace-context/src/propagation/b3.rs; grpc, doc/PROTOCOL-HTTP2.md, Custom-Metadata.
 */
export function parseGrpcTraceBin(text: string): TraceContext | undefined {
  const bytes = Buffer.from(text, "base64");
  const canonical = bytes.toString("base64");
  if (text !== canonical && text !== canonical.replace(/=+$/, "")) return undefined;
  let traceId: string | undefined;
  let parentId: string | undefined;
  let flags = 0;
  for (let at = 1; at < bytes.length;) {
    const field = bytes[at++];
    const length = field === undefined ? undefined : LENGTHS.get(field);
    if (length === undefined) break;
    if (at + length > bytes.length) return undefined;
    const value = bytes.toString("hex", at, at + length);
    if (field === TRACE_ID) traceId = value;
    else if (field === SPAN_ID) parentId = value;
    else flags = Number.parseInt(value, 16);
    at += length;
  }
  if (traceId === undefined || parentId === undefined) return undefined;
  return { format: "grpc-trace-bin", traceId, parentId, flags };
}

/** The same context with another span as the parent, in padded base64, which every receiver takes. */
export function formatGrpcTraceBin({ traceId, flags }: TraceContext, spanId: string): string {
  return Buffer.concat([
    Buffer.of(0, TRACE_ID),
    Buffer.from(traceId, "hex"),
    Buffer.of(SPAN_ID),
    Buffer.from(spanId, "hex"),
    Buffer.of(OPTIONS, flags),
  ]).toString("base64");
}
