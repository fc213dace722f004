import { isZero, readId, SPAN_ID_BYTES, TRACE_ID_BYTES, type TraceContext } from "./trace-context.ts";

const VERSION = "00-";

/**
 * Reads `00-TRACE-SPAN-FLAGS`. Undefined for another version, identifiers of zeros, and flags that are not whole bytes;
 * of several bytes of flags the first one counts.
 *
 * Source: W3C Trace Context section 3.2; linkerd2-proxy, linkerd/trace-context/src/propagation/w3c.rs.
 */
export function parseTraceparent(text: string): TraceContext | undefined {
  if (!text.startsWith(VERSION)) return undefined;
  const traceEnd = text.indexOf("-", VERSION.length);
  const spanEnd = text.indexOf("-", traceEnd + 1);
  if (traceEnd < 0 || spanEnd < 0) return undefined;
  const traceId = readId(text.slice(VERSION.length, traceEnd), TRACE_ID_BYTES);
  const parentId = readId(text.slice(traceEnd + 1, spanEnd), SPAN_ID_BYTES);
  const flags = readId(text.slice(spanEnd + 1), 1);
  if (traceId === undefined || parentId === undefined || flags === undefined) return undefined;
  if (isZero(traceId) || isZero(parentId)) return undefined;
  return { format: "traceparent", traceId, parentId, flags: Number.parseInt(flags.slice(0, 2), 16) };
}

/** The same context with another span as the parent. */
export function formatTraceparent({ traceId, flags }: TraceContext, spanId: string): string {
  return `${VERSION}${traceId}-${spanId}-${flags.toString(16).padStart(2, "0")}`;
}
