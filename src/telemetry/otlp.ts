import { create, toBinary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import type { RequestSpan } from "../http/request-span.ts";
import type { KeyValueSchema } from "../proto/gen/otlp_common_pb.js";
import { Span_SpanKind, SpanSchema } from "../proto/gen/otlp_trace_pb.js";
import { ExportTraceServiceRequestSchema } from "../proto/gen/otlp_trace_service_pb.js";
import { isZero } from "../wire/trace-context/trace-context.ts";
import type { ResourceAttributes } from "./attributes.ts";

/** "It is known whether the parent is of another process" and "it is". Source: OpenTelemetry, trace.proto, SpanFlags. */
const PARENT_IS_REMOTE = 0x300;

/**
 * A span as OTLP has it, in bytes.
 *
 * @param wallOffsetMs what to add to the proxy's monotonic time to get Unix time, in milliseconds.
 */
export function encodeSpan(span: RequestSpan, wallOffsetMs: number): Uint8Array {
  const { kind, name, traceId, spanId, parentId, startedAtMs, endedAtMs, attributes } = span;
  return toBinary(
    SpanSchema,
    create(SpanSchema, {
      traceId: Buffer.from(traceId, "hex"),
      spanId: Buffer.from(spanId, "hex"),
      parentSpanId: Buffer.from(isZero(parentId) ? "" : parentId, "hex"),
      name,
      kind: kind === "server" ? Span_SpanKind.SERVER : Span_SpanKind.CLIENT,
      startTimeUnixNano: nanosOf(startedAtMs + wallOffsetMs),
      endTimeUnixNano: nanosOf(endedAtMs + wallOffsetMs),
      attributes: attributes.map(([key, value]) => keyValue(key, value)),
      flags: PARENT_IS_REMOTE,
    }),
  );
}

/** Encoded spans as one message for the collector. */
export function exportRequest(
  resource: ResourceAttributes,
  spans: readonly Uint8Array[],
): MessageShape<typeof ExportTraceServiceRequestSchema> {
  const attributes = [...resource].map(([key, value]) => keyValue(key, value));
  return create(ExportTraceServiceRequestSchema, {
    resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: [...spans] }] }],
  });
}

function keyValue(key: string, value: string | number): MessageInitShape<typeof KeyValueSchema> {
  if (typeof value === "string") return { key, value: { value: { case: "stringValue", value } } };
  return { key, value: { value: { case: "intValue", value: BigInt(value) } } };
}

/** Whole microseconds: a number holds no more of today's time. */
function nanosOf(unixMs: number): bigint {
  return BigInt(Math.max(0, Math.round(unixMs * 1_000))) * 1_000n;
}
