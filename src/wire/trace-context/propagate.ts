import { GRPC_TRACE_BIN, TRACEPARENT, X_B3_SAMPLED, X_B3_SPAN_ID, X_B3_TRACE_ID } from "../../headers.ts";
import { headerField, headerName, type HeaderField, type HeaderName } from "../header-field.ts";
import { TRACE_VALUE_CHARS } from "../limits.ts";
import { formatGrpcTraceBin, parseGrpcTraceBin } from "./grpc-trace-bin.ts";
import { readId, SPAN_ID_BYTES, TRACE_ID_BYTES, type TraceContext } from "./trace-context.ts";
import { formatTraceparent, parseTraceparent } from "./traceparent.ts";

const W3C = headerName(TRACEPARENT);
const GRPC = headerName(GRPC_TRACE_BIN);
const B3_TRACE = headerName(X_B3_TRACE_ID);
const B3_SPAN = headerName(X_B3_SPAN_ID);
const B3_SAMPLED = headerName(X_B3_SAMPLED);

/**
 * The trace context of a request, if one of its headers holds a valid one: W3C first, then gRPC's, then B3. Of a header
 * that occurs more than once the first occurrence counts.
 *
 * Source: linkerd2-proxy, linkerd/trace-context/src/propagation.rs.
 */
export function findTraceContext(fields: readonly HeaderField[]): TraceContext | undefined {
  let w3c: string | undefined;
  let grpc: string | undefined;
  let b3Trace: string | undefined;
  let b3Span: string | undefined;
  let b3Sampled: string | undefined;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field === undefined || field.value.length > TRACE_VALUE_CHARS) continue;
    const { name, value } = field;
    if (name === W3C) w3c ??= value;
    else if (name === GRPC) grpc ??= value;
    else if (name === B3_TRACE) b3Trace ??= value;
    else if (name === B3_SPAN) b3Span ??= value;
    else if (name === B3_SAMPLED) b3Sampled ??= value;
  }
  return (
    (w3c === undefined ? undefined : parseTraceparent(w3c)) ??
    (grpc === undefined ? undefined : parseGrpcTraceBin(grpc)) ??
    (b3Trace === undefined || b3Span === undefined ? undefined : contextOfB3(b3Trace, b3Span, b3Sampled))
  );
}

function contextOfB3(trace: string, span: string, sampled: string | undefined): TraceContext | undefined {
  const traceId = readId(trace, TRACE_ID_BYTES);
  const parentId = readId(span, SPAN_ID_BYTES);
  if (traceId === undefined || parentId === undefined) return undefined;
  return { format: "b3", traceId, parentId, flags: sampled === "1" ? 1 : 0 };
}

/**
 * Tells whoever gets the request that `spanId` is its parent, in the header that `context` came from and in no other. In
 * place.
 *
 * @param spanId 16 lower-case hexadecimal digits.
 */
export function replaceParent(fields: HeaderField[], context: TraceContext, spanId: string): void {
  switch (context.format) {
    case "traceparent":
      return setField(fields, W3C, formatTraceparent(context, spanId));
    case "grpc-trace-bin":
      return setField(fields, GRPC, formatGrpcTraceBin(context, spanId));
    case "b3":
      return setField(fields, B3_SPAN, spanId);
  }
}

/** The first field of that name gets the value, and others of it go. */
function setField(fields: HeaderField[], name: HeaderName, value: string): void {
  let kept = 0;
  let isSet = false;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field === undefined || (field.name === name && isSet)) continue;
    isSet ||= field.name === name;
    fields[kept++] = field.name === name ? headerField(name, value) : field;
  }
  if (kept < fields.length) fields.length = kept;
}
