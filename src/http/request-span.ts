/** One request as one proxy saw it, for whoever gathers traces. */
export interface RequestSpan {
  /** Whether the request came to the proxy or was sent by it. */
  readonly kind: "server" | "client";
  /** The path of the request. */
  readonly name: string;
  /** Lower-case hexadecimal: 16 bytes, then 8 and 8. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  /** Monotonic milliseconds of the request and of the head of its response. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly attributes: SpanAttributes;
}

/** Names and values, each name once. */
export type SpanAttributes = readonly (readonly [string, string])[];
