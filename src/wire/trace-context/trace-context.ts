/**
 * Where a request stands in a distributed trace, as a caller told it.
 *
 * Identifiers are lower-case hexadecimal. A caller may have sent longer ones than its format allows: those travel on as
 * they are, but no span can be made of them.
 */
export interface TraceContext {
  /** Which headers told it, and so which are rewritten. */
  readonly format: "traceparent" | "grpc-trace-bin" | "b3";
  readonly traceId: string;
  /** The span that made the request. */
  readonly parentId: string;
  /** One byte. Bit 0: the trace is sampled. */
  readonly flags: number;
}

export const TRACE_ID_BYTES = 16;
export const SPAN_ID_BYTES = 8;
const SAMPLED = 1;

/** Whether spans of this trace are to be reported, and can be: their identifiers have the length that traces have. */
export function isReportable({ traceId, parentId, flags }: TraceContext): boolean {
  return (
    (flags & SAMPLED) !== 0 &&
    traceId.length === 2 * TRACE_ID_BYTES &&
    parentId.length === 2 * SPAN_ID_BYTES &&
    !isZero(traceId)
  );
}

/** Whether an identifier says "none". */
export function isZero(id: string): boolean {
  return /^0*$/.test(id);
}

/**
 * Reads hexadecimal digits of either case as an identifier of at least `bytes` bytes; shorter ones get leading zeros.
 * Undefined for no digits, half a byte, or anything else.
 */
export function readId(text: string, bytes: number): string | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(text)) return undefined;
  return text.toLowerCase().padStart(2 * bytes, "0");
}
